"""Malformed studies, run settings, command lines and environments: one message, exit 2, nothing written.

Every case lists what the message must contain: the key (or file), the value, and what is allowed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rsm.cli.parser import main
from rsm.traffic.roads.figure_eight import figure_eight

from .conftest import ROOT

# --- settings of a run: YAML text (or bytes) of `rsm train --config run.yaml --out out` ----------------
RUNS: dict[str, tuple[str | bytes, list[str]]] = {
    # invalid numbers, too many of them, or of the wrong type
    "nan": ("sac: {tau: .nan}", ["sac.tau", "nan", "finite"]),
    "nan of a mean": ("mixing: {zeta_max: .NaN}", ["mixing.zeta_max", "nan", "finite"]),
    "infinite": ("sac: {actor_lr: .inf}", ["sac.actor_lr", "inf", "finite"]),
    "minus infinite": ("sac: {target_entropy: -.inf}", ["sac.target_entropy", "inf", "finite"]),
    "nan entropy": ("sac: {target_entropy: .nan}", ["sac.target_entropy", "nan", "finite"]),
    "nan as text": ("sac: {tau: NaN}", ["sac.tau", "'NaN'", "number"]),
    "overflow": ("sac: {tau: 1.0e+400}", ["sac.tau", "inf", "finite"]),
    "zero step": ("sac: {critic_lr: 0}", ["sac.critic_lr", "0", "greater than 0"]),
    "negative zero step": ("sac: {alpha_lr: -0.0}", ["sac.alpha_lr", "-0.0", "greater than 0"]),
    "negative step": ("sac: {actor_lr: -1.0e-3}", ["sac.actor_lr", "-0.001", "greater than 0"]),
    "alpha zero": ("sac: {alpha_init: 0.0}", ["sac.alpha_init", "0.0", "greater than 0"]),
    "gamma one": ("sac: {gamma: 1.0}", ["sac.gamma", "1.0", "less than 1"]),
    "gamma zero": ("sac: {gamma: 0.0}", ["sac.gamma", "0.0", "greater than 0"]),
    "tau above one": ("sac: {tau: 1.0000001}", ["sac.tau", "1.0000001", "less than or equal to 1"]),
    "bool number": ("sac: {tau: true}", ["sac.tau", "True", "number"]),
    "yes number": ("sac: {batch_size: yes}", ["sac.batch_size", "'yes'", "integer"]),
    "octal": ("seed: 0o1x", ["seed", "'0o1x'", "integer"]),
    "base sixty": ("training: {episodes: 1:30}", ["training.episodes", "'1:30'", "integer"]),
    "underscore": ("training: {episodes: 1_000}", ["training.episodes", "'1_000'", "integer"]),
    "binary number": ("seed: 0b11", ["seed", "'0b11'", "integer"]),
    "merge": ("sac: {<<: {tau: 0.1}}", ["sac.<<", "unknown key", "actor_lr"]),
    "text number": ("sac: {batch_size: '32'}", ["sac.batch_size", "'32'", "integer"]),
    "fraction of a count": ("sac: {batch_size: 32.5}", ["sac.batch_size", "32.5", "integer"]),
    "whole float": ("sac: {batch_size: 32.0}", ["sac.batch_size", "32.0", "integer"]),
    "no batch": ("sac: {batch_size: 0}", ["sac.batch_size", "0", "greater than or equal to 1"]),
    "huge batch": ("sac: {batch_size: 1000000000}", ["sac.batch_size", "1000000000", "100000"]),
    "huge replay": (
        "sac: {replay_size: 99999999999}",
        ["sac.replay_size", "99999999999", "10000000"],
    ),
    "huge layer": ("sac: {hidden: [100000]}", ["sac.hidden.0", "100000", "4096"]),
    "deep network": ("sac: {hidden: [8, 8, 8, 8, 8]}", ["sac.hidden", "4 items"]),
    "no layers": ("sac: {hidden: []}", ["sac.hidden", "[]", "at least 1"]),
    "negative layer": ("sac: {hidden: [-8]}", ["sac.hidden.0", "-8", "greater than or equal to 1"]),
    "layers as text": ("sac: {hidden: '64'}", ["sac.hidden", "'64'", "a list is"]),
    "layers as number": ("sac: {hidden: 64}", ["sac.hidden", "64", "a list is"]),
    "layers nested": ("sac: {hidden: [[64]]}", ["sac.hidden.0", "[64]", "integer"]),
    "never learns": (
        "sac: {replay_size: 100, learning_starts: 200}",
        ["sac", "learning_starts (200)", "at most replay_size (100)"],
    ),
    "huge integer": ("seed: " + "9" * 5000, ["run.yaml", "4300"]),
    "large seed": ("seed: 10000", ["seed", "10000", "9999"]),
    "negative seed": ("seed: -1", ["seed", "-1", "greater than or equal to 0"]),
    "fraction seed": ("seed: 0.5", ["seed", "0.5", "integer"]),
    "seed null": ("seed: null", ["seed", "None", "integer"]),
    "seed of other digits": ("seed: ３", ["seed", "'３'", "integer"]),
    "seed arabic digits": ("seed: ٣", ["seed", "'٣'", "integer"]),
    "seed complex": ("seed: 1+2j", ["seed", "'1+2j'", "integer"]),
    "seed date": ("seed: 2020-01-01", ["seed", "2020", "integer"]),
    "seed binary": ("seed: !!binary aGk=", ["seed", "b'hi'", "integer"]),
    "seed list": ("seed: [1]", ["seed", "[1]", "integer"]),
    "loss above one": ("communication: {loss_rate: 1.5}", ["communication.loss_rate", "1.5", "1"]),
    "loss below zero": (
        "communication: {loss_rate: -0.1}",
        ["communication.loss_rate", "-0.1", "0"],
    ),
    "loss nan": ("communication: {loss_rate: .nan}", ["communication.loss_rate", "nan", "finite"]),
    "loss percent": ("communication: {loss_rate: 10%}", ["loss_rate", "'10%'", "number"]),
    "no segments": ("communication: {segments: 0}", ["communication.segments", "0", "1"]),
    "too many segments": ("communication: {segments: 65536}", ["segments", "65536", "65535"]),
    "more segments than parameters": (
        "{communication: {segments: 60000}, sac: {hidden: [8]}}",
        ["communication.segments", "60000", "1 to"],
    ),
    "no replicas": ("communication: {replicas: 0}", ["communication.replicas", "0", "1"]),
    "too many replicas": (
        "communication: {replicas: 256}",
        ["communication.replicas", "256", "255"],
    ),
    "no period": ("communication: {period: 0}", ["communication.period", "0", "1"]),
    "share all": (
        "communication: {share: all}",
        ["communication.share", "'all'", "'actor+critic'"],
    ),
    "share case": ("communication: {share: Actor}", ["communication.share", "'Actor'", "'actor'"]),
    # topologies
    "topology none": ("communication: {topology: ''}", ["topology", "''", "radius:<metres>"]),
    "topology null": ("communication: {topology: null}", ["topology", "None", "string"]),
    "topology number": ("communication: {topology: 90}", ["topology", "90", "string"]),
    "topology unknown": ("communication: {topology: torus}", ["'torus'", "ring, star"]),
    "topology spaces": ("communication: {topology: 'radius: 90'}", ["'radius: 90'", "decimal"]),
    "topology underscore": ("communication: {topology: 'radius:9_0'}", ["radius:9_0", "decimal"]),
    "topology wide digits": (
        "communication: {topology: 'radius:９０'}",
        ["radius:９０", "decimal"],
    ),
    "topology hex": ("communication: {topology: 'radius:0x5a'}", ["radius:0x5a", "decimal"]),
    "topology line end": (
        'communication: {topology: "ring\\n"}',
        ["topology", "'ring\\n'", "ring"],
    ),
    "topology capital": ("communication: {topology: Ring}", ["topology", "'Ring'", "ring"]),
    "topology sixty": (
        "communication: {topology: radius:1:30}",
        ["radius:1:30", "radius:<metres>"],
    ),
    "radius missing": ("communication: {topology: radius}", ["'radius'", "radius:<metres>"]),
    "radius empty": ("communication: {topology: 'radius:'}", ["'radius:'", "decimal"]),
    "radius zero": ("communication: {topology: 'radius:0'}", ["radius:0", "above 0"]),
    "radius minus zero": ("communication: {topology: 'radius:-0'}", ["radius:-0", "decimal"]),
    "radius nan": ("communication: {topology: 'radius:nan'}", ["radius:nan", "finite"]),
    "radius infinite": ("communication: {topology: 'radius:1e999'}", ["radius:1e999", "finite"]),
    "degree half": ("communication: {topology: 'regular:2.5'}", ["regular:2.5", "whole number"]),
    "degree huge": ("communication: {topology: 'regular:1e300'}", ["regular:1e300", "whole"]),
    "degree too large": ("communication: {topology: 'regular:12'}", ["regular:12", "9 agents"]),
    "degree odd": ("communication: {topology: 'regular:3'}", ["regular:3", "9 agents"]),
    "probability two": ("communication: {topology: 'erdos-renyi:2'}", ["erdos-renyi:2", "(0, 1]"]),
    "probability zero": ("communication: {topology: 'erdos-renyi:0'}", ["erdos-renyi:0", "(0, 1]"]),
    "never connected": ("communication: {topology: 'erdos-renyi:1e-9'}", ["1e-9", "connected"]),
    "small world one": ("communication: {topology: 'small-world:1:0.1'}", ["1:0.1", "at least 2"]),
    "small world wide": ("communication: {topology: 'small-world:98:0'}", ["98:0", "9 agents"]),
    "small world odd": ("communication: {topology: 'small-world:3:0.1'}", ["3:0.1", "even number"]),
    # words
    "method unknown": ("method: magic", ["method", "'magic'", "one of independent", "fmarl"]),
    "method case": ("method: RSM", ["method", "'RSM'", "one of independent", " rsm,"]),
    "method empty": ("method: ''", ["method", "''", "one of independent", " rsm,"]),
    "method list": ("method: [rsm]", ["method", "['rsm']", "'rsm'"]),
    "method bool": ("method: no", ["method", "'no'", "one of independent", " rsm,"]),
    "scenario": ("traffic: {scenario: merge}", ["traffic.scenario", "'merge'", "figure-eight-all"]),
    "fleet of none": (
        "traffic: {scenario: 'fleet-figure-eight:0'}",
        ["traffic.scenario", "'fleet-figure-eight:0'", "fleet-figure-eight:<loops>"],
    ),
    "radius across loops": (
        "traffic: {scenario: 'fleet-figure-eight:3'}",
        ["communication.topology", "'radius:90'", "fleet-figure-eight:3", "complete, ring"],
    ),
    "n_step": ("sac: {n_step: 0}", ["sac.n_step", "0", "greater than or equal to 1"]),
    "noise_correlation": (
        "sac: {noise_correlation: 1}",
        ["sac.noise_correlation", "1", "less than 1"],
    ),
    "actions": ("traffic: {actions: jump}", ["traffic.actions", "'jump'", "'target-speed'"]),
    "observation": ("traffic: {observation: all}", ["traffic.observation", "'all'", "'relative'"]),
    "junction": ("traffic: {junction: both}", ["traffic.junction", "'both'", "'idm'"]),
    "collision": ("traffic: {collision: ignore}", ["traffic.collision", "'ignore'", "'teleport'"]),
    "horizon zero": ("traffic: {horizon: 0}", ["traffic.horizon", "0", "1"]),
    "horizon huge": ("traffic: {horizon: 10000000}", ["traffic.horizon", "10000000", "100000"]),
    "interval": ("traffic: {decision_interval: 1501}", ["decision_interval", "1501", "1500"]),
    "rule": ("mixing: {rule: theorem3}", ["mixing.rule", "'theorem3'", "'certified'"]),
    "advantage": ("mixing: {advantage: both}", ["mixing.advantage", "'both'", "'direct'"]),
    "published code": (
        "mixing: {published_code: sep}",
        ["mixing.published_code", "'sep'", "'aug'"],
    ),
    "published code and rule": (
        "mixing: {published_code: aug, rule: coin}",
        ["mixing.rule", "'coin'", "with mixing.published_code aug", "theorem2"],
    ),
    "published code and estimator": (
        "mixing: {published_code: jul, advantage: importance}",
        ["mixing.advantage", "'importance'", "with mixing.published_code jul", "direct"],
    ),
    "importance under correlated noise": (
        "sac: {noise_correlation: 0.8}\nmixing: {advantage: importance}",
        ["mixing.advantage", "'importance'", "allowed: direct", "sac.noise_correlation 0, not 0.8"],
    ),
    "biased critic": (
        "sac: {noise_correlation: 0.8, n_step: 5}",
        ["sac.noise_correlation", "0.8", "sac.n_step 5", "mixing.accept_biased_critic"],
    ),
    "one state": ("mixing: {states: 1}", ["mixing.states", "1", "greater than or equal to 2"]),
    "zeta max": ("mixing: {zeta_max: 1.01}", ["mixing.zeta_max", "1.01", "1"]),
    "zeta fixed": ("mixing: {zeta_fixed: 0}", ["mixing.zeta_fixed", "0", "greater than 0"]),
    "kl limit": ("mixing: {kl_limit: -0.0}", ["mixing.kl_limit", "-0.0", "greater than 0"]),
    "no episodes": ("training: {episodes: 0}", ["training.episodes", "0", "1"]),
    "endless": ("training: {episodes: 99999999}", ["training.episodes", "99999999", "1000000"]),
    "evaluate never": ("evaluation: {every: 0}", ["evaluation.every", "0", "1"]),
    "evaluate much": ("evaluation: {episodes: 1001}", ["evaluation.episodes", "1001", "1000"]),
    # keys
    "unknown key": ("speed: 3", ["speed", "3", "method"]),
    "unknown key below": ("sac: {learning_rate: 1}", ["sac.learning_rate", "1", "actor_lr"]),
    "key with a line end": ('sac: {"a\\nb": 1}', ["sac.a\\nb", "unknown", "actor_lr"]),
    "key of a number": ("sac: {1: 2}", ["sac.1", "string"]),
    "key that is a number": ("1: 2", ["run.yaml", "{1: 2}", "mapping"]),
    "null key": ("~: 2", ["run.yaml", "mapping"]),
    "list as key": ("? [a]\n: 1", ["run.yaml", "hashable"]),
    "settings as a list": ("sac: [tau]", ["sac", "['tau']", "a mapping is"]),
    "settings as text": ("traffic: figure-eight", ["traffic", "'figure-eight'", "a mapping is"]),
    "settings as null": ("mixing: null", ["mixing", "None", "a mapping is"]),
    "key twice": ("seed: 1\nseed: 2", ["run.yaml, line 2", "'seed'", "once"]),
    "key twice below": ("sac:\n  tau: 0.1\n  tau: 0.2", ["line 3", "'tau'", "once"]),
    # files of the wrong kind
    "nothing": ("", ["run.yaml", "is empty", "`method:`"]),
    "comments": ("# later\n---\n", ["run.yaml", "is empty", "`method:`"]),
    "list": ("- 1", ["run.yaml", "[1]", "mapping"]),
    "word": ("hello", ["run.yaml", "'hello'", "mapping"]),
    "number": ("3", ["run.yaml", "3", "mapping"]),
    "two documents": ("seed: 1\n---\nseed: 2", ["run.yaml, line 2", "single document"]),
    "open bracket": ("sac: {tau: 0.1", ["run.yaml", "not valid YAML"]),
    "open quote": ("method: 'rsm", ["run.yaml", "not valid YAML", "quoted"]),
    "tab": ("sac:\n\ttau: 0.1", ["run.yaml, line 2", "'\\t'"]),
    "bad indent": ("sac:\n  tau: 1\n gamma: 0.9", ["run.yaml, line 3", "not valid YAML"]),
    "windows line ends": ("sac:\r\n  tau: fast\r\n", ["sac.tau", "'fast'", "number"]),
    "old mac line ends": ("sac:\r  tau: fast\r", ["sac.tau", "'fast'", "number"]),
    "byte order mark": (b"\xef\xbb\xbfseed: -3\n", ["seed", "-3", "0"]),
    "latin-1": ("method: café".encode("latin-1"), ["run.yaml", "UTF-8"]),
    "utf-16": ("seed: 1".encode("utf-16"), ["run.yaml", "UTF-8"]),
    "utf-32": ("seed: 1".encode("utf-32"), ["run.yaml", "UTF-8"]),
    "nul bytes": (b"seed: 1\0\0", ["run.yaml", "not valid YAML", "special characters"]),
    "binary": (bytes(range(256)), ["run.yaml", "UTF-8"]),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), ["run.yaml", "UTF-8"]),
    "escape codes": ("seed: \x1b[31m1", ["run.yaml", "not valid YAML"]),
    "python object": ("!!python/object/apply:os.system ['touch owned']", ["run.yaml", "python"]),
    "python name": ("seed: !!python/name:os.system ''", ["run.yaml", "python"]),
    "own tag": ("seed: !seed 3", ["run.yaml", "!seed"]),
    "alias": ("sac: &a {tau: 0.1}\nmixing: *a", ["run.yaml, line 2", "alias"]),
    "alias to itself": ("&a seed: *a", ["run.yaml", "alias"]),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
        ),
        ["run.yaml, line 2", "alias"],
    ),
    "very deep": ("sac: " + "[" * 20_000, ["run.yaml", "deeply"]),
    "very deep mappings": ("{a: " * 5_000 + "}" * 5_000, ["run.yaml", "deeply"]),
    "deep but readable": ("sac: " + "[" * 60 + "]" * 60, ["sac", "a mapping is"]),
    "very long": ("# " + "x" * 2_000_000, ["run.yaml", "larger than 1000000"]),
    "very long value": (
        "method: " + "x" * 500_000,
        ["method", "'xxx", "...", "one of independent", " rsm,"],
    ),
}

# --- studies: overrides of a good one in `rsm resolve --study study.yaml --out out.yaml` -----------
GOOD = {"name": "bad", "description": "d", "seeds": "[0]", "grid": "{methods: [go]}"}
STUDIES: dict[str, tuple[dict[str, str | None], list[str]]] = {
    "no name": ({"name": None}, ["name", "required"]),
    "no seeds": ({"seeds": None}, ["seeds", "required"]),
    "no grid": ({"grid": None}, ["grid", "required"]),
    "no methods": ({"grid": "{}"}, ["grid.methods", "required"]),
    "no description": ({"description": None}, ["description", "required"]),
    "long description": ({"description": "x" * 3000}, ["description", "2000"]),
    "name with a path": ({"name": "../../etc"}, ["name", "'../../etc'", "pattern"]),
    "name absolute": ({"name": "/tmp/x"}, ["name", "'/tmp/x'", "pattern"]),
    "name of dots": ({"name": ".."}, ["name", "'..'", "pattern"]),
    "name hidden": ({"name": ".git"}, ["name", "'.git'", "pattern"]),
    "name empty": ({"name": "''"}, ["name", "''", "pattern"]),
    "name long": ({"name": "x" * 41}, ["name", "xxx", "pattern"]),
    "name of capitals": ({"name": "Quick"}, ["name", "'Quick'", "pattern"]),
    "name with a space": ({"name": "my study"}, ["name", "'my study'", "pattern"]),
    "name with an accent": ({"name": "é"}, ["name", "'é'", "pattern"]),
    "name with a line end": ({"name": '"s\\n"'}, ["name", "'s\\n'", "pattern"]),
    "name with a nul": ({"name": '"s\\0"'}, ["name", "pattern"]),
    "name of digits": ({"name": "2024"}, ["name", "2024", "string"]),
    "name true": ({"name": "true"}, ["name", "True", "string"]),
    "name of another file": ({"name": "quick"}, ["bad.yaml: name", "'quick'", "'bad' is expected"]),
    "name of a date": ({"name": "2020-01-01"}, ["name", "2020", "'bad' is expected"]),
    "seeds empty": ({"seeds": "[]"}, ["seeds", "at least one"]),
    "seeds a number": ({"seeds": "3"}, ["seeds", "3", "a list is"]),
    "seeds a word": ({"seeds": "all"}, ["seeds", "'all'", "a list is"]),
    "seeds twice": ({"seeds": "[1, 1]"}, ["seeds", "[1, 1]", "once"]),
    "seeds of floats": ({"seeds": "[1.5]"}, ["seeds.0", "1.5", "integer"]),
    "seeds of bools": ({"seeds": "[true]"}, ["seeds.0", "True", "integer"]),
    "seeds of null": ({"seeds": "[~]"}, ["seeds.0", "None", "integer"]),
    "seeds negative": ({"seeds": "[-1]"}, ["seed", "-1", "0"]),
    "seeds huge": ({"seeds": "[1000000]"}, ["seed", "1000000", "9999"]),
    "seeds infinite": ({"seeds": "[.inf]"}, ["seeds.0", "inf", "integer"]),
    "seeds other digits": ({"seeds": "[１]"}, ["seeds.0", "'１'", "integer"]),
    "methods empty": ({"grid": "{methods: []}"}, ["grid.methods", "at least one"]),
    "methods a word": ({"grid": "{methods: rsm}"}, ["grid.methods", "'rsm'", "a list is"]),
    "methods twice": ({"grid": "{methods: [go, go]}"}, ["grid.methods", "once"]),
    "methods unknown": (
        {"grid": "{methods: [gossip]}"},
        ["methods.0", "'gossip'", "one of independent", " average,"],
    ),
    "topologies": ({"grid": "{methods: [rsm], topologies: [mesh]}"}, ["mesh", "ring"]),
    "topologies empty": ({"grid": "{methods: [rsm], topologies: []}"}, ["topologies", "one"]),
    "topologies spaced": ({"grid": "{methods: [rsm], topologies: [' ring']}"}, [" ring", "ring"]),
    "segments zero": ({"grid": "{methods: [rsm], segments: [0]}"}, ["segments", "0", "1"]),
    "segments nan": ({"grid": "{methods: [rsm], segments: [.nan]}"}, ["segments.0", "nan"]),
    "replicas": ({"grid": "{methods: [rsm], replicas: [999]}"}, ["replicas", "999", "255"]),
    "rules": ({"grid": "{methods: [rsm], rules: [x]}"}, ["rules.0", "'x'", "'fixed'"]),
    "share": ({"grid": "{methods: [rsm], share: [critic]}"}, ["share.0", "'critic'", "'actor'"]),
    "loss rates": ({"grid": "{methods: [rsm], loss_rates: [2]}"}, ["loss_rates.0", "2", "1"]),
    "loss rates nan": (
        {"grid": "{methods: [rsm], loss_rates: [.nan]}"},
        ["loss_rates.0", "finite"],
    ),
    "loss rates equal": ({"grid": "{methods: [rsm], loss_rates: [0.0, -0.0]}"}, ["once"]),
    "loss rates of one name": (
        {"grid": "{methods: [rsm], loss_rates: [0.1, 0.10000001]}"},
        ["grid", "share the name", "loss0.1"],
    ),
    "grid key": ({"grid": "{methods: [go], speed: [1]}"}, ["grid.speed", "[1]", "topologies"]),
    "grid a list": ({"grid": "[go]"}, ["grid", "['go']", "a mapping is"]),
    "too many runs": (
        {
            "seeds": str(list(range(9000))),
            "grid": "{methods: [rsm], segments: [1, 2, 3]}",
        },
        ["grid", "more than 20000 runs"],
    ),
    "run key": ({"run": "{seed: 1}"}, ["run.seed", "1", "traffic"]),
    "run method": ({"run": "{method: go}"}, ["run.method", "'go'", "sac"]),
    "run leaf": ({"run": "{sac: {tau: .nan}}"}, ["run.sac.tau", "nan", "finite"]),
    "run a word": ({"run": "published"}, ["run", "'published'", "a mapping is"]),
    "run null": ({"run": "null"}, ["run", "None", "a mapping is"]),
    "unknown key": ({"repeats": "3"}, ["repeats", "3", "seeds"]),
}

# --- command lines. {file} is a file, {dir} a folder, {ok} good settings, {study} a good study ---------
DRIVE = ["--scenario", "figure-eight", "--controller", "go"]
LINES: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], ["COMMAND", "required"]),
    "unknown command": (["dance"], ["'dance'", "train"]),
    "empty command": ([""], ["''", "train"]),
    "unknown option": (["doctor", "--fast"], ["--fast", "unrecognized"]),
    "abbreviated option": (["evaluate", *DRIVE, "--epi", "3"], ["--epi", "unrecognized"]),
    "option twice as word": (["schema", "x"], ["unrecognized", "x"]),
    "train nothing": (["train"], ["--out", "required"]),
    "train no settings": (["train", "--out", "o"], ["--config", "--study", "required"]),
    "train both": (["train", "--config", "{ok}", "--study", "s", "--out", "o"], ["not allowed"]),
    "train no value": (["train", "--config"], ["--config", "expected one argument"]),
    "no such file": (["train", "--config", "none.yaml", "--out", "o"], ["none.yaml", "No such"]),
    "empty file name": (["train", "--config", "", "--out", "o"], ["cannot be read", "directory"]),
    "settings are a folder": (["train", "--config", "{dir}", "--out", "o"], ["Is a directory"]),
    "settings are a loop": (["train", "--config", "loop", "--out", "o"], ["loop", "symbolic"]),
    "settings without end": (["train", "--config", "/dev/zero", "--out", "o"], ["larger than"]),
    "settings below a file": (["train", "--config", "{file}/x", "--out", "o"], ["Not a directory"]),
    "settings of a long name": (["train", "--config", "x" * 5000, "--out", "o"], ["too long"]),
    "study of a long name": (["figures", "--study", "x" * 5000], ["'xxx", "known studies"]),
    "out is a file": (["train", "--config", "{ok}", "--out", "{file}"], ["--out", "folder"]),
    "out is below a file": (
        ["train", "--config", "{ok}", "--out", "{file}/x"],
        ["--out", "folder"],
    ),
    "out is a loop": (["train", "--config", "{ok}", "--out", "loop"], ["--out", "loop", "folder"]),
    "out is a dead link": (["train", "--config", "{ok}", "--out", "dead"], ["--out", "dead"]),
    "out is below a dead link": (
        ["train", "--config", "{ok}", "--out", "dead/x"],
        ["--out", "dead"],
    ),
    "out is a device": (
        ["train", "--config", "{ok}", "--out", "/dev/null"],
        ["--out", "/dev/null"],
    ),
    "out cannot be": (["train", "--config", "{ok}", "--out", "/proc/x/y"], ["--out", "/proc"]),
    "out has a long name": (["train", "--config", "{ok}", "--out", "x" * 5000], ["--out", "long"]),
    "out holds papers": (["train", "--config", "{ok}", "--out", "{dir}"], ["thesis.tex", "run"]),
    "out is here": (["train", "--config", "{ok}", "--out", "."], ["--out", ".", "no run's file"]),
    "run without study": (
        ["train", "--config", "{ok}", "--run", "go-seed0", "--out", "o"],
        ["--run", "--study"],
    ),
    "study without run": (
        ["train", "--study", "{study}", "--out", "o"],
        ["--run is missing", "such as go"],
    ),
    "run unknown": (
        ["train", "--study", "{study}", "--run", "../x", "--out", "o"],
        ["--run", "'../x'", "go-seed0"],
    ),
    "study unknown": (["tables", "--study", "nope"], ["'nope'", "known studies"]),
    "study empty": (["tables", "--study", ""], ["''", "known studies"]),
    "study of dots": (["tables", "--study", ".."], ["'..'", "known studies"]),
    "study a folder": (["tables", "--study", "{dir}/"], ["Is a directory"]),
    "scenario missing": (
        ["evaluate", "--controller", "go"],
        ["--scenario", "missing", "'go'", "figure-eight"],
    ),
    "scenario unknown": (
        ["evaluate", "--scenario", "ring"],
        ["--scenario", "'ring'", "figure-eight"],
    ),
    "controller unknown": (["evaluate", *DRIVE[:3], "fast"], ["controller", "'fast'", "platoon"]),
    "controller empty": (["evaluate", *DRIVE[:3], ""], ["''", "platoon"]),
    "controller nan": (["evaluate", *DRIVE[:3], "constant:nan"], ["constant:nan", "m/s²"]),
    "controller infinite": (["evaluate", *DRIVE[:3], "constant:1e999"], ["constant:1e999", "m/s²"]),
    "controller word": (["evaluate", *DRIVE[:3], "constant:fast"], ["constant:fast", "m/s²"]),
    "controller bare": (["evaluate", *DRIVE[:3], "constant:"], ["constant:", "m/s²"]),
    "controller a folder": (["evaluate", *DRIVE[:3], "{dir}"], ["--controller", "no finished run"]),
    "controller long": (["evaluate", *DRIVE[:3], "x" * 5000], ["controller", "'xxx"]),
    "episodes zero": (["evaluate", *DRIVE, "--episodes", "0"], ["--episodes", "'0'", "at least 1"]),
    "episodes negative": (["evaluate", *DRIVE, "--episodes", "-3"], ["--episodes", "-3"]),
    "episodes word": (
        ["evaluate", *DRIVE, "--episodes", "many"],
        ["--episodes", "'many'", "whole"],
    ),
    "episodes float": (["evaluate", *DRIVE, "--episodes", "1e3"], ["--episodes", "'1e3'", "whole"]),
    "episodes empty": (["evaluate", *DRIVE, "--episodes", ""], ["--episodes", "''", "whole"]),
    "episodes huge": (["evaluate", *DRIVE, "--episodes", "9" * 30], ["--episodes", "2000000000"]),
    "episodes very huge": (["evaluate", *DRIVE, "--episodes", "9" * 9000], ["--episodes", "whole"]),
    "moment of a film": (
        ["render", *DRIVE, "--out", "x.gif", "--at", "7"],
        ["--at", "7", ".png"],
    ),
    "moment negative": (
        ["render", *DRIVE, "--out", "x.png", "--at=-1"],
        ["--at", "'-1'", "seconds"],
    ),
    "seed unicode": (["evaluate", *DRIVE, "--seed", "１"], ["--seed", "'１'", "whole"]),
    "seed superscript": (["evaluate", *DRIVE, "--seed", "²"], ["--seed", "'²'", "whole"]),
    "seed nan": (["evaluate", *DRIVE, "--seed", "nan"], ["--seed", "'nan'", "whole"]),
    "seed spaced": (["evaluate", *DRIVE, "--seed", " 1"], ["--seed", "' 1'", "whole"]),
    "seed line end": (["evaluate", *DRIVE, "--seed", "1\n"], ["--seed", "'1\\n'", "whole"]),
    "render ending": (["render", *DRIVE, "--out", "x.bmp"], ["--out", "'x.bmp'", ".gif"]),
    "render no ending": (["render", *DRIVE, "--out", "x"], ["--out", "'x'", ".gif"]),
    "render folder": (["render", *DRIVE, "--out", "pictures.png"], ["pictures.png", "folder"]),
    "render below a file": (["render", *DRIVE, "--out", "{file}/x.png"], ["--out", "folder"]),
    "figure unknown": (["figures", "--study", "{study}", "--only", "pie"], ["'pie'", "zeta"]),
    "verify unknown": (["verify", "--only", "x"], ["--only", "'x'", "human-seed0"]),
    "resolve to a folder": (
        ["resolve", "--study", "{study}", "--out", "{dir}"],
        ["--out", "folder"],
    ),
    "resolve to a device": (
        ["resolve", "--study", "{study}", "--out", "/dev/null"],
        ["--out", "/dev/null", "regular file"],
    ),
    "resolve below a file": (
        ["resolve", "--study", "{study}", "--out", "{file}/o"],
        ["--out", "folder"],
    ),
    "set list": (["resolve", "--study", "{study}", "--set", "[1]", "--out", "o"], ["--set", "[1]"]),
    "set broken": (
        ["resolve", "--study", "{study}", "--set", "{a", "--out", "o"],
        ["--set", "YAML"],
    ),
    "set alias": (
        ["resolve", "--study", "{study}", "--set", "{a: &b 1, c: *b}", "--out", "o"],
        ["--set", "alias"],
    ),
    "set twice": (
        ["resolve", "--study", "{study}", "--set", "{seeds: [1], seeds: [2]}", "--out", "o"],
        ["--set", "'seeds'", "once"],
    ),
    "set deep": (
        ["resolve", "--study", "{study}", "--set", "[" * 9000, "--out", "o"],
        ["--set", "deeply"],
    ),
    "set unknown": (
        ["resolve", "--study", "{study}", "--set", "{run: {sac: {x: 1}}}", "--out", "o"],
        ["--set: run.sac.x", "1", "actor_lr"],
    ),
    "publish nothing": (["publish", "nowhere", "--study", "s"], ["nowhere", "summary.json"]),
    "publish a file": (["publish", "{file}", "--study", "s"], ["summary.json", "cannot be read"]),
    "publish papers": (["publish", "{dir}", "--study", "s"], ["summary.json", "cannot be read"]),
    "sync nothing": (["sync", "--study", "{study}"], ["holds no finished run"]),
}

# --- environment variables -----------------------------------------------------------------------------
STORE = ["store", "--study", "{study}"]
TRAIN = ["train", "--config", "{ok}", "--out", "o"]
RSM = ["train", "--config", "{rsm}", "--out", "o"]
ENVIRONMENTS: dict[str, tuple[str, str, list[str], list[str]]] = {
    "threads word": ("OMP_NUM_THREADS", "many", TRAIN, ["'many'", "whole number"]),
    "threads zero": ("OMP_NUM_THREADS", "0", TRAIN, ["'0'", "whole number"]),
    "threads negative": ("OMP_NUM_THREADS", "-2", TRAIN, ["'-2'", "whole number"]),
    "threads float": ("MKL_NUM_THREADS", "1.5", TRAIN, ["'1.5'", "whole number"]),
    "threads empty": ("OMP_NUM_THREADS", "", TRAIN, ["''", "whole number"]),
    "threads list": ("OPENBLAS_NUM_THREADS", "4,,3", TRAIN, ["'4,,3'", "whole number"]),
    "threads huge": ("OMP_NUM_THREADS", "9" * 50, TRAIN, ["'999", "9999"]),
    "threads other digits": ("OMP_NUM_THREADS", "２", TRAIN, ["'２'", "whole number"]),
    "cache is a file": ("RSM_CACHE", "{file}", TRAIN, ["file", "a folder"]),
    "cache is a device": ("RSM_CACHE", "/dev/null", TRAIN, ["'/dev/null'", "a folder"]),
    "cache is a loop": ("RSM_CACHE", "loop", TRAIN, ["'loop'", "a folder"]),
    "cache of nobody": ("RSM_CACHE", "~nobody-here/x", TRAIN, ["~nobody-here", "a folder"]),
    "cache long": ("RSM_CACHE", "x" * 5000, TRAIN, ["'xxx", "a folder"]),
    "cache in proc": ("RSM_CACHE", "/proc/none", TRAIN, ["'/proc/none'", "a folder"]),
    "key word": ("RSM_FRAME_KEY", "secret", RSM, ["6 characters", "hexadecimal"]),
    "key odd": ("RSM_FRAME_KEY", "a" * 33, RSM, ["33 characters", "even number"]),
    "key short": ("RSM_FRAME_KEY", "ab" * 8, RSM, ["16 characters", "32 to 256"]),
    "key long": ("RSM_FRAME_KEY", "ab" * 200, RSM, ["400 characters", "32 to 256"]),
    "key line end": ("RSM_FRAME_KEY", "ab" * 16 + "\n", RSM, ["33 characters", "hexadecimal"]),
    "key other digits": ("RSM_FRAME_KEY", "１" * 32, RSM, ["32 characters", "hexadecimal"]),
    "store word": ("MLFLOW_TRACKING_URI", "here", STORE, ["'here'", "http(s)://HOST"]),
    "store scheme": ("MLFLOW_TRACKING_URI", "ftp://x", STORE, ["'ftp://x'", "http(s)://HOST"]),
    "store no host": ("MLFLOW_TRACKING_URI", "http://", STORE, ["'http://'", "http(s)://HOST"]),
    "store no file": ("MLFLOW_TRACKING_URI", "sqlite:///", STORE, ["'sqlite:///'", "FILE"]),
    "store memory": ("MLFLOW_TRACKING_URI", "sqlite:///:memory:", STORE, [":memory:", "FILE"]),
    "store file": ("MLFLOW_TRACKING_URI", "file:///tmp/x", STORE, ["'file:///tmp/x'", "sqlite"]),
    "store path": ("MLFLOW_TRACKING_URI", "/tmp/x", STORE, ["'/tmp/x'", "sqlite"]),
    "store port": ("MLFLOW_TRACKING_URI", "http://h:99999", STORE, ["http://h:99999", "HOST"]),
    "store port word": ("MLFLOW_TRACKING_URI", "http://h:x", STORE, ["'http://h:x'", "HOST"]),
    "store brackets": ("MLFLOW_TRACKING_URI", "http://[::1", STORE, ["http://[::1", "HOST"]),
    "store line end": ("MLFLOW_TRACKING_URI", "a\nb", STORE, ["'a\\nb'", "HOST"]),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with good and bad things to point at."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("OMP_NUM_THREADS", "RSM_FRAME_KEY", "MLFLOW_TRACKING_URI", "RSM_CACHE"):
        monkeypatch.delenv(name, raising=False)
    (folder / "papers").mkdir()
    (folder / "papers" / "thesis.tex").write_text("precious")
    (folder / "pictures.png").mkdir()
    (folder / "a file").write_text("precious")
    (folder / "loop").symlink_to("loop")
    (folder / "dead").symlink_to("nowhere")
    (folder / "ok.yaml").write_text("{method: go, traffic: {horizon: 50}}")
    (folder / "rsm.yaml").write_text(
        "{traffic: {horizon: 50}, training: {episodes: 1}, sac: {learning_starts: 20}}"
    )
    study = GOOD | {"name": "study"}
    (folder / "study.yaml").write_text("".join(f"{key}: {value}\n" for key, value in study.items()))
    return folder


# Words of pydantic and networkx.
JARGON = ("tuple", "dictionary", "Input should", "validation", "Field required", "< n", "n * d")


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def check(arguments: list[str], words: list[str], here: Path, capsys) -> None:
    named = {"{file}": "a file", "{dir}": "papers", "{ok}": "ok.yaml", "{rsm}": "rsm.yaml"}
    named["{study}"] = "./study.yaml"
    for name, value in named.items():
        arguments = [word.replace(name, value) for word in arguments]
    before = contents(here)
    try:
        code = main(arguments)
    except SystemExit as stop:  # argparse
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2, captured
    assert captured.out == ""
    lines = captured.err.removesuffix("\n").split("\n")
    assert len(lines) == 1 and lines[0].startswith("rsm: "), captured.err[:2000]
    assert "\r" not in lines[0] and "\x1b" not in lines[0] and len(lines[0]) < 12_000
    for word in words:
        assert word in lines[0], lines[0][:2000]
    assert not any(word in lines[0] for word in JARGON), lines[0][:2000]
    assert contents(here) == before


@pytest.mark.parametrize("case", RUNS)
def test_malformed_settings_of_a_run(case: str, here: Path, capsys) -> None:
    content, words = RUNS[case]
    data = content if isinstance(content, bytes) else content.encode()
    (here / "run.yaml").write_bytes(data)
    check(["train", "--config", "run.yaml", "--out", "out"], words, here, capsys)


@pytest.mark.parametrize("case", STUDIES)
def test_malformed_study(case: str, here: Path, capsys) -> None:
    changes, words = STUDIES[case]
    rows = {key: value for key, value in (GOOD | changes).items() if value is not None}
    (here / "bad.yaml").write_text("".join(f"{key}: {value}\n" for key, value in rows.items()))
    check(["resolve", "--study", "bad.yaml", "--out", "out.yaml"], words, here, capsys)


@pytest.mark.parametrize("case", LINES)
def test_malformed_command_line(case: str, here: Path, capsys) -> None:
    arguments, words = LINES[case]
    check(arguments, words, here, capsys)


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_malformed_environment(
    case: str, here: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, value, arguments, words = ENVIRONMENTS[case]
    figure_eight.cache_clear()  # which a process of its own would not have
    monkeypatch.setenv(variable, value.replace("{file}", "a file"))
    check(arguments, [variable, *words], here, capsys)


def test_key_of_the_frames_is_never_shown(
    here: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSM_FRAME_KEY", "hush-hush")
    check(RSM, ["RSM_FRAME_KEY"], here, capsys)
    assert main(["train", "--config", "rsm.yaml", "--out", "o"]) == 2
    assert "hush" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--config", "{ok}", "--out", "{ro}/there"],
        ["train", "--config", "{ok}", "--out", "{ro}/new"],
        ["resolve", "--study", "{study}", "--out", "{ro}/new.yaml"],
        ["render", *DRIVE, "--out", "{ro}/x.png"],
    ],
    ids=["run", "new run", "file", "picture"],
)
def test_folder_that_cannot_be_written(
    arguments: list[str], here: Path, capsys, read_only: Path
) -> None:
    arguments = [word.replace("{ro}", str(read_only)) for word in arguments]
    check(arguments, ["--out", "read-only"], here, capsys)


def test_cache_that_cannot_be_written(
    here: Path, capsys, monkeypatch: pytest.MonkeyPatch, read_only: Path
) -> None:
    figure_eight.cache_clear()
    monkeypatch.setenv("RSM_CACHE", str(read_only))
    check(TRAIN, ["RSM_CACHE", "Read-only"], here, capsys)


def test_malformed_bytes_on_a_plain_terminal(here: Path) -> None:
    """Arguments that are not text, on a terminal that knows ASCII only: still one line."""
    arguments = [sys.executable, "-m", "rsm", "figures", "--study", b"caf\xe9 \xc2\xb2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(arguments, capture_output=True, env=environment)
    assert done.returncode == 2 and done.stdout == b""
    assert done.stderr.count(b"\n") == 1 and b"caf" in done.stderr
    helped = subprocess.run(
        [sys.executable, "-m", "rsm", "render", "--help"], capture_output=True, env=environment
    )
    assert helped.returncode == 0, helped.stderr


def test_windows_line_ends_and_links_to_good_things_are_fine(here: Path, capsys) -> None:
    (here / "target").mkdir()
    (here / "link").symlink_to("target")
    (here / "settings").symlink_to("ok.yaml")
    (here / "ok.yaml").write_bytes(b"method: go\r\ntraffic:\r\n  horizon: 50\r\n")
    assert main(["train", "--config", "settings", "--out", "link"]) == 0
    assert (here / "target" / "summary.json").is_file()
