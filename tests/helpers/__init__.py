"""What several test modules share: paths, densities with known answers, models, data sets."""
