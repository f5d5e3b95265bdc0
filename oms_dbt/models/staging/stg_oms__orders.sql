{{ landed_rows(source('oms', 'orders')) }}
