"""A whole job as a command: load pairs, choose a hasher, train, measure, draw, save and query.

``make demo`` runs it on drawn scenes, ``make demo DATA=wiki`` on the Wiki data set, and ``make demo
IMAGES=folder CAPTIONS=file.csv`` on pictures and captions of your own. The saved model answers
``python -m skhash.demo --ask "a crimson disc above a blue box"``. Nothing imports this folder.
"""
