"""The exact checks of integrity: is what is on disk what was planned?"""
