"""The pure core: from a catalogue and a request to one decision. Values in, values out.

`catalog` what can be served · `resolve` the name a client gave · `conversation` what a classifier may read ·
`decision` the answer and its reason.
"""
