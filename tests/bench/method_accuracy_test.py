#!/usr/bin/env python3
"""What method_accuracy.py makes of figures: margins, rows, faults. Trains nothing."""

import argparse
import json
import pathlib
import stat
import sys
import tempfile
import tomllib
import unittest
from unittest import mock

import method_accuracy
from method_accuracy import backbone_of, check, margin, recipes, row, sweep

# In the place of the program: notes the call and gives each stage and seed a score.
PROGRAM = """#!{python}
import json, pathlib, sys, tomllib
ablation = tomllib.loads(pathlib.Path(sys.argv[2]).read_text())
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]) / ablation["name"] / "cells"
for seed in ablation["axes"]["seed"]:
    cell = folder / f"seed={{seed}}"
    cell.mkdir(parents=True, exist_ok=True)
    scores = {{stage: {{"metrics": {{"test": {{"top1": {{"mean": (seed + 5 + place) / 10}}}}}}}}
              for place, stage in enumerate(ablation["stages"])}}
    (cell / "results.json").write_text(json.dumps({{"stages": scores}}))
sys.exit(1 if ablation["name"] == "broken" else 0)
"""


def figures(top1, random, pixels):
    return {"backbone": "resnet18", "top1": top1, "random": random, "pixels": pixels}


class MethodAccuracy(unittest.TestCase):
    def test_margins_are_two_deviations_below_the_mean_in_steps(self):
        better = figures([0.70, 0.71, 0.72], [0.60, 0.60, 0.60], 0.705)
        self.assertEqual(margin(better, "random"), 0.09)
        self.assertIsNone(margin(better, "pixels"), "0.005 better, and 0.01 of deviation")
        even = figures([0.65, 0.65, 0.65], [0.6, 0.6, 0.6], 0.65)
        self.assertEqual(margin(even, "random"), 0.05)
        self.assertIsNone(margin(even, "pixels"))

    def test_what_reaches_its_margin_has_no_fault(self):
        found = figures([0.70, 0.71, 0.72], [0.6, 0.6, 0.6], 0.68)
        stated = {"one": {"margins": {"random": 0.11, "pixels": 0.03}}}
        self.assertEqual(check({"one": found}, stated), [])
        stated = {"one": {"margins": {"random": 0.115, "pixels": None}}}
        faults = check({"one": found}, stated)
        self.assertEqual(len(faults), 1)
        self.assertIn("one: better than random by +0.1100", faults[0])

    def test_collapsed_failed_and_unknown_ones_are_faults(self):
        alike = figures([0.25, 0.25, 0.25], [0.6, 0.6, 0.6], 0.7)
        none = {"random": None, "pixels": None}
        self.assertIn("alike", check({"a": alike}, {"a": {"margins": none}})[0])
        self.assertIn("did not run", check({"a": None}, {"a": {"margins": none}})[0])
        self.assertIn("has no figures", check({"a": figures([0.7], [0.6], 0.5)}, {})[0])

    def test_rows_say_what_is_asked_for(self):
        found = figures([0.70, 0.72], [0.6, 0.6], 0.8)
        self.assertIn("| random +0.05 |", row("a", found, {"random": 0.05, "pixels": None}))
        self.assertIn("it beats neither", row("a", found, {"random": None, "pixels": None}))
        self.assertIn("| +0.1100 ± 0.0141 | -0.0900 ± 0.0141 | – |", row("a", found, None))
        self.assertEqual(row("a", found, None).count("|"), method_accuracy.HEAD[0].count("|"))

    def test_every_pipeline_has_a_name_and_a_backbone(self):
        known = recipes()
        self.assertEqual(len(known), len(list(method_accuracy.METHODS.glob("*.toml"))))
        self.assertEqual(backbone_of(known["vicreg"]), "resnet18")
        self.assertEqual(backbone_of(known["msn"]), "vit-nano")

    def test_views_are_those_of_the_papers_table(self):
        page = (method_accuracy.SOURCE / "docs/methods.md").read_text()
        rows = page.split("| paper | `crop_scale` |")[1].split("\n\n")[0].splitlines()[2:]
        names = {"MoCo v2": "moco", "ReSSL's student": "ressl"}
        known = recipes()
        compared = set()
        for line in rows:
            papers, _, _, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            for paper in papers.removesuffix(", without flips").split(", "):
                name = names.get(paper, paper.lower().replace(" ", "-"))
                stage = tomllib.loads(known[name].read_text()).get("stage", {}).get("pretrain", {})
                views = [view["augment"] for view in stage.get("views", [])]
                views = views or [stage.get("augment", {})]
                if name == "ressl":
                    views = views[:1]
                for key, default, cell in zip(["blur_probability", "solarize_probability"],
                                              [0.5, 0.0], cells):
                    wanted = [float(part.split()[-1]) for part in cell.split(";")]
                    wanted = wanted * len(views) if len(wanted) == 1 else wanted
                    found = [view.get(key, default) for view in views]
                    self.assertEqual(found, wanted, f"{key} of {name}")
                compared.add(name)
        self.assertEqual(len(compared), 13)
        # Appendix C.1 of arXiv 2105.04906: BYOL's views, made symmetric.
        both = tomllib.loads(known["vicreg"].read_text())["stage"]["pretrain"]["augment"]
        self.assertEqual(both["solarize_probability"], 0.1)

    def test_a_sweep_gives_the_scores_of_each_seed(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            program = folder / "bissl"
            program.write_text(PROGRAM.format(python=sys.executable))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            arguments = argparse.Namespace(bissl=str(program), jobs=1)
            stages = ["neighbours", "random-neighbours"]
            found = sweep(arguments, folder, "one", "p.toml", stages, [0, 2], [])
            self.assertEqual(found, {"neighbours": [0.5, 0.7], "random-neighbours": [0.6, 0.8]})
            self.assertIsNone(sweep(arguments, folder, "broken", "p.toml", stages, [0], []))

    def test_a_part_of_the_pipelines_keeps_the_others_figures(self):
        with tempfile.TemporaryDirectory() as temporary:
            file, page_file = pathlib.Path(temporary) / "figures.json", pathlib.Path(temporary) / "page.md"
            page_file.write_text(f"Above.\n{method_accuracy.BEGIN}\nold\n{method_accuracy.END}\nBelow.\n")
            found = figures([0.70, 0.71, 0.72], [0.6, 0.6, 0.6], 0.68)
            with mock.patch.multiple(method_accuracy, FIGURES=file, PAGE=page_file):
                method_accuracy.write({"vicreg": found}, [0, 1, 2])
                method_accuracy.write({"byol": found}, [0, 1, 2])
            self.assertEqual(list(json.loads(file.read_text())["methods"]), ["byol", "vicreg"])
            page = page_file.read_text()
            self.assertTrue(page.startswith("Above.\n") and page.endswith("\nBelow.\n"), page)
            self.assertNotIn("old", page)
            self.assertIn("| byol | resnet18 | 0.7100 ± 0.0100 |", page)
            self.assertIn("Not measured: ", page)


if __name__ == "__main__":
    unittest.main()
