{{ landed_rows(source('oms', 'shipment_items')) }}
