{'name': 'sale_order'}
