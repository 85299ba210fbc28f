"""The local Azure: Blob Storage and Microsoft Entra's token endpoint, as far as reading exports needs them."""
