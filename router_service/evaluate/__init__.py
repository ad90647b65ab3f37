"""How well a classifier routes: labelled cases in, figures with their uncertainty out.

`cases` the file of labelled conversations · `outcome` one case and what was answered · `metrics`, `conversations`,
`bootstrap`, `folds` the statistics, pure · `measure` all of them over one run · `advice` what to change first ·
`report`, `page` and `plots` for people · `run` the only part that awaits.
"""
