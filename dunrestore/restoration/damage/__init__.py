"""Where a picture is damaged: found in the change that a network proposes, or given as a mask."""
