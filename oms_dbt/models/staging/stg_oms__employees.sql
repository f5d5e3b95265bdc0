{{ landed_rows(source('oms', 'employees')) }}
