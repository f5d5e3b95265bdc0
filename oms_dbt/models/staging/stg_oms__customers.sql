{{ landed_rows(source('oms', 'customers')) }}
