{{ landed_rows(source('oms', 'order_items')) }}
