"""Peers, controls and evenhand behind one signature."""
