"""The model definitions that ship with Redraw; a team's own may stand next to them.

One module a model: its name is the model's name. See `redraw.definition`.
"""
