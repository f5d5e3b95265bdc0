{{ landed_rows(source('oms', 'returns')) }}
