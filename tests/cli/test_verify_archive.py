import pandas as pd

from rsm.cli.verify_archive import same_table

ARCHIVED = pd.DataFrame({"run": ["a", "b"], "score": [0.1, None]})


def test_same_numbers_agree_whatever_columns_came_later():
    assert same_table("t", ARCHIVED, ARCHIVED) == (True, "t: 2 rows of 2 columns")
    good, text = same_table("t", ARCHIVED, ARCHIVED.assign(world="w"))
    assert good and text.endswith("; 1 columns were added by a later rsm")


def test_another_number_another_row_or_a_column_less_differs():
    assert not same_table("t", ARCHIVED, ARCHIVED.assign(score=[0.1001, None]))[0]
    assert not same_table("t", ARCHIVED, ARCHIVED.iloc[:1])[0]
    good, text = same_table("t", ARCHIVED, ARCHIVED[["run"]])
    assert not good and text == "t: no longer computed: score"
