"""The API's docs pages: their files, their HTML, and who may see them."""
