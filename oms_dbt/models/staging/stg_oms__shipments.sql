{{ landed_rows(source('oms', 'shipments')) }}
