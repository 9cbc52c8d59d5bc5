"""The page of a study, `results/<study>/index.html`: all that came of it in one file that needs no network.

It is made of the files that a study leaves (study.yaml, tables, figures). What is not there is said to be
missing.
`plotly-basic.min.js` is plotly.js 4.1.1, its basic bundle, as published (MIT, plotly-basic.LICENSE).
"""
