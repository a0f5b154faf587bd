"""Files of photographs and masks, in the layouts people have, turned into `Episode`s."""
