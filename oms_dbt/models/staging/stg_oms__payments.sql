{{ landed_rows(source('oms', 'payments')) }}
