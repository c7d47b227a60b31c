"""Why an age: Grad-CAM of networks and model files, mean maps of labeled sets, and a check that they mean something."""
