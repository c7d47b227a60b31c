"""Train the refiner: a second, closer look at a face that puts its five points where they belong."""
