"""The console: pages for the county technician, made on the server, in Chinese and English."""
