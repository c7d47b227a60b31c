"""Train and measure the face detector and the refiner of its points."""
