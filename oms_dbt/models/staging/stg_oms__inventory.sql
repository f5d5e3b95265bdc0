{{ landed_rows(source('oms', 'inventory')) }}
