{{ landed_rows(source('oms', 'suppliers')) }}
