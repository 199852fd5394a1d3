"""Workers: how they are born, what they do, and the processes beside them."""
