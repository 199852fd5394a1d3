"""The small HTTP front of `kraal serve`: static files, and PHP through FastCGI."""
