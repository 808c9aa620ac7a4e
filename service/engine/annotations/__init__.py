"""What a dataset says of its pictures: masks, boxes, folders, in every format. What is made of it is elsewhere."""
