{{ landed_rows(source('oms', 'products')) }}
