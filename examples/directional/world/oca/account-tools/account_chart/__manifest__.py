{'name': 'account_chart'}
