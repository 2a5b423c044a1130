"""Models, one file each, behind one Protocol."""
