from rsm.runs.manifest import manifest


def test_manifest_does_not_call_clean_what_git_says_nothing_of(tiny, monkeypatch):
    for answer, dirty in ((None, None), ("", False), (" M rsm/training/loop.py", True)):
        monkeypatch.setattr("rsm.runs.manifest.git", lambda *_, answer=answer: answer)
        assert manifest(tiny())["dirty"] is dirty
