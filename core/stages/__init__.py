"""One module per kind of stage; the file name is the kind."""
