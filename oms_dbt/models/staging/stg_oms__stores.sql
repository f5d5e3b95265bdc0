{{ landed_rows(source('oms', 'stores')) }}
