"""Judge candidates on rows kept from them, choose one, say what is promised."""
