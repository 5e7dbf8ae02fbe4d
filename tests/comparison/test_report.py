"""The report: well-formed, self-contained, safe, complete, readable, and its numbers are those of the results."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from comparison.page_reader import Element, read, section
from comparison.results_example import EXAMPLES, HOSTILE, RIGHT_TO_LEFT, Results, classes, twelve_contenders
from sightline.comparison.figures import count, percent, points, probability, significant
from sightline.comparison.page.disagreements import MOST_ROWS, MOST_SIGNS
from sightline.comparison.report import render
from sightline.comparison.results import machine
from sightline.pages.markup import FORBIDDEN

every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
Example = Callable[[], Results]


def said(text: str) -> str:
    """A text as the page says it."""
    return " ".join(FORBIDDEN.sub("\ufffd", text).split())


# Every page


@every_example
def test_a_page_is_well_formed_and_alone(example: Example) -> None:
    text = render(example())
    page = read(text)
    assert text.startswith("<!doctype html>\n<html lang=")
    loading = {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not {each.name for each in page.all()} & loading
    for each in page.all():
        for name, value in each.attributes.items():
            assert not name.startswith("on") and name not in ("src", "srcset", "action", "style"), (each.name, name)
            assert name != "href" or re.fullmatch(r"#[a-z]+", value), value
    style = page.all("style")[0].text()
    assert "url(" not in style and "@import" not in style and "://" not in text.replace(HOSTILE, "")
    policy = next(each for each in page.all("meta") if each.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'")


@every_example
def test_a_page_can_be_written_and_read_by_everybody(example: Example) -> None:
    text = render(example())
    assert not FORBIDDEN.search(text)
    assert text.encode("utf-8").decode("utf-8") == text
    page = read(text)
    assert len(page.all("main")) == len(page.all("h1")) == len(page.all("head")[0].all("title")) == 1
    heads = [int(each.name[1]) for each in page.all() if re.fullmatch("h[1-6]", each.name)]
    assert heads[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(heads)), heads
    names = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    assert len(names) == len(set(names))
    for each in page.all("a"):
        assert each.attributes["href"][1:] in names
    for each in page.all("svg"):
        nested = each.parent is not None and each.parent.name == "svg"
        drawn = each.attributes.get("role") == "img" and each.attributes.get("aria-label")
        assert nested or drawn or each.attributes.get("aria-hidden") == "true"
    for each in page.all("th"):
        assert each.attributes.get("scope") in ("row", "col")
    for each in page.all("table"):
        assert each.all("caption")
        assert len({len(row.all("th") + row.all("td")) for row in each.all("tr")}) == 1, (
            "a row has cells too few or many"
        )


@every_example
def test_every_contender_is_named_and_every_failure_explained(example: Example) -> None:
    results = example()
    scores = section(read(render(results)), "score")
    for each in results["contenders"]:
        shown = [
            item for item in scores.all("li") if " ".join(FORBIDDEN.sub("\ufffd", each["name"]).split()) in item.text()
        ]
        assert shown
        if each["status"] == "failed":
            assert "failed" in shown[0].text()
            assert said(each["error"]) in shown[0].text()


@every_example
def test_the_same_results_give_the_same_bytes_and_stay_as_they_were(example: Example) -> None:
    results = example()
    before = copy.deepcopy(results)
    assert render(results) == render(results)
    assert repr(results) == repr(before)
    assert render(json.loads(json.dumps(results))) == render(results)


def test_a_page_stays_small() -> None:
    assert len(render(twelve_contenders())) < 600_000


# Texts from outside


def test_hostile_texts_are_only_texts() -> None:
    text = render(EXAMPLES["hostile"]())
    page = read(text)
    assert "<script" not in text and "<img" not in text
    assert "<b>bold</b>" not in text and "&lt;b&gt;bold&lt;/b&gt;" in text
    for name in ("score", "disagreements", "fairness", "rows", "protocol", "again"):
        assert said(HOSTILE) in section(page, name).text(), name
    assert said(HOSTILE) in page.all("header")[0].text()


def test_texts_of_others_cannot_turn_ours_around() -> None:
    """An override lasts to the end of its block or isolate: there must be nothing of ours in it."""
    page = read(render(EXAMPLES["hostile"]()))
    quoted = next(each for each in page.all("p", "quoted") if RIGHT_TO_LEFT in each.text())
    assert quoted.attributes["dir"] == "auto"
    for each in page.all():
        if any(isinstance(child, str) and "\u202e" in child for child in each.children):
            assert each.name in ("bdi", "p", "code", "td", "title", "caption", "text"), each.name
            assert len(each.children) == 1


def test_a_long_text_is_cut_and_counted() -> None:
    page = read(render(EXAMPLES["long_names"]()))
    card = section(page, "disagreements").all("li")[0]
    assert card.all("p", "quoted")[0].text() == "x" * MOST_SIGNS
    assert f"{5000 - MOST_SIGNS:,} more characters" in card.text()


# Numbers


def test_the_table_holds_the_numbers_of_the_results() -> None:
    results = classes()
    table = section(read(render(results)), "numbers").all("table")[0]
    rows = {row.all("th")[0].text(): [cell.text() for cell in row.all("td")] for row in table.all("tr")[1:]}
    assert list(rows) == ["encoder", "decoder", "tfidf", "majority"], "the best on the test rows first"
    for each in results["contenders"]:
        low, high = each["accuracy_low"], each["accuracy_high"]
        assert rows[each["name"]] == [
            f"{100 * each['accuracy']:.1f}% {100 * low:.1f} to {100 * high:.1f}%",
            f"{100 * each['macro_f1']:.1f}%",
            f"{each['log_loss']:.3f}",
            f"{100 * each['calibration_error']:.1f}%",
            significant(each["train_seconds"]),
            significant(each["rows_per_second"]),
            f"{significant(each['ms_per_row'])} 95%: {significant(each['ms_per_row_p95'])}",
            f"{each['parameters']:,}",
            f"{each['peak_memory_mb']:,.0f}",
        ]


def test_the_best_of_a_column_is_bold() -> None:
    table = section(read(render(classes())), "numbers").all("table")[0]
    bold = {row.all("th")[0].text(): [cell.all("b") != [] for cell in row.all("td")] for row in table.all("tr")[1:]}
    assert bold["encoder"][:3] == [True, True, True]
    assert bold["tfidf"][4:] == [True] * 5, "what costs least, the majority aside"
    assert bold["majority"] == [False] * 9


def test_pairs_hold_the_numbers_of_the_results_the_best_two_first() -> None:
    results = classes()
    results["best"], results["runner_up"] = "decoder", "tfidf"
    rows = section(read(render(results)), "pairs").all("table")[0].all("tr")[1:]
    found = {row.all("th")[0].text(): [cell.text() for cell in row.all("td")] for row in rows}
    assert next(iter(found)) == "decoder against tfidf"
    for pair in results["comparisons"]:
        assert found[f"{pair['a']} against {pair['b']}"] == [
            f"{points(pair['difference'])} {points(pair['low'])} to {points(pair['high'])}",
            "",
            probability(pair["p"]),
            probability(pair["holm_p"]),
            "yes" if pair["different"] else "no",
            count(pair["rows_needed"]),
        ]


def test_a_chart_puts_values_where_they_belong() -> None:
    """Encoder's mark, whisker and seeds against the numbers below the axis."""
    results = classes()
    scores = section(read(render(results)), "score")
    ticks = {each.text(): float(each.attributes["x"][:-1]) for each in scores.all("text", "tick")}
    low, high = min(ticks, key=ticks.__getitem__), max(ticks, key=ticks.__getitem__)
    start, end = (float(each[:-1]) / 100 for each in (low, high))

    def value(place: str) -> float:
        return start + (end - start) * float(place[:-1]) / 100

    encoder = next(each for each in results["contenders"] if each["name"] == "encoder")
    chart = scores.all("li")[0].all("svg", "strip")[0]
    assert chart.attributes["aria-label"] == "encoder: accuracy 88.0%, between 81.6 and 94.4%"
    whisker = chart.all("line", "whisker")[0].attributes
    assert value(whisker["x1"]) == pytest.approx(encoder["accuracy_low"], abs=1e-4)
    assert value(whisker["x2"]) == pytest.approx(encoder["accuracy_high"], abs=1e-4)
    *seeds, mark = [value(each.attributes["x"]) for each in chart.all("svg", "spot")]
    assert mark == pytest.approx(encoder["accuracy"], abs=1e-4)
    assert seeds == pytest.approx([each["accuracy"] for each in encoder["seeds"]], abs=1e-4)
    assert value(chart.all("line", "reference")[0].attributes["x1"]) == pytest.approx(0.5, abs=1e-4)


def test_a_plot_puts_contenders_at_their_cost_and_score() -> None:
    results = classes()
    for place, cost in enumerate(("train_seconds", "ms_per_row")):
        plot = section(read(render(results)), "cost").all("svg", "plot")[place]
        ticks = [each for each in plot.all("text", "tick")]
        across = {float(each.text()): float(each.attributes["x"]) for each in ticks if "%" not in each.text()}
        up = {float(each.text()[:-1]): float(each.attributes["y"]) - 4 for each in ticks if "%" in each.text()}
        (left, x0), *_, (right, x1) = sorted(across.items())
        (low, y0), *_, (high, y1) = sorted(up.items())
        assert x0 < x1 and y1 < y0, "dearer is right, better is up"
        shown = [each for each in results["contenders"] if each["name"] != "majority"]
        marks = {each.all("title")[0].text().split(":")[0]: each for each in plot.all("g")}
        assert set(marks) == {each["name"] for each in shown}
        for each in shown:
            x, y = (float(part) for part in re.findall(r"[\d.]+", marks[each["name"]].attributes["transform"]))
            assert math.log(right / left) * (x - x0) / (x1 - x0) == pytest.approx(math.log(each[cost] / left), abs=0.01)
            assert low + (high - low) * (y - y0) / (y1 - y0) == pytest.approx(100 * each["accuracy"], abs=0.05)


def test_what_is_missing_is_a_dash() -> None:
    page = read(render(EXAMPLES["missing_numbers"]()))
    table = section(page, "numbers").all("table")[0]
    rows = {row.all("th")[0].text(): [cell.text() for cell in row.all("td")] for row in table.all("tr")[1:]}
    assert list(rows)[-1] == "decoder", "without a score it stands last"
    assert rows["decoder"][0] == rows["decoder"][2] == rows["decoder"][3] == "–"
    assert rows["encoder"][4] == rows["tfidf"][8] == "–"
    first = section(page, "pairs").all("tr")[1].all("td")
    assert [cell.text() for cell in first][2:5] == ["–", "–", "–"]
    assert not re.search(r"\b(nan|inf|None|null)\b", page.all("body")[0].text().replace("null ", ""))


@pytest.mark.parametrize("empty", [{}, {"contenders": None, "data": None, "comparisons": None, "protocol": None}])
def test_results_that_hold_nothing_still_give_a_page(empty: Results) -> None:
    assert "There is no verdict." in read(render(empty)).all("h1")[0].text()


# Sections


def test_a_page_of_classes_has_each_section() -> None:
    names = [each.attributes["aria-labelledby"] for each in read(render(classes())).all("section")]
    assert names == "score numbers cost pairs confusion calibration disagreements fairness rows protocol again".split()


def test_a_page_of_numbers_shows_predictions_and_no_classes() -> None:
    page = read(render(EXAMPLES["numbers"]()))
    names = [each.attributes["aria-labelledby"] for each in page.all("section")]
    assert names == "score numbers cost pairs scatter disagreements fairness rows protocol again".split()
    assert "0.860" in section(page, "score").all("li")[0].text()
    assert len(section(page, "scatter").all("svg", "plot")) == 4
    assert "accuracy" not in page.all("main")[0].text().lower()


def test_the_verdict_comes_first() -> None:
    page = read(render(EXAMPLES["no_difference"]()))
    heading, lead = page.all("h1")[0], page.all("p", "lead")[0]
    assert heading.text() == "No difference that these rows can show: encoder 86.0%, tfidf 85.0% of 100 test rows."
    assert lead.text().startswith("To tell a difference")
    assert not page.all("em", "badge"), "nobody is called the winner"
    winner = section(read(render(classes())), "score").all("li")[0]
    assert "encoder winner" in winner.text()


def test_one_is_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert machine().endswith(", 1 thread")
    results = classes()
    results["protocol"] |= {"threads": 1, "budget_minutes": 1.0}
    results["disagreements"] = [{**results["disagreements"][0], "row": row} for row in range(MOST_ROWS + 1)]
    page = read(render(results))
    assert section(page, "again").text().count("1 thread") == 1 and "1 threads" not in section(page, "again").text()
    assert "1 minute" in section(page, "protocol").text() and "1 minutes" not in section(page, "protocol").text()
    assert "1 more row is not shown here." in section(page, "disagreements").text()


def test_contenders_that_failed_are_counted() -> None:
    assert (
        "compared 2 contenders (2 failed) on rows.csv" in read(render(EXAMPLES["all_failed"]())).all("header")[0].text()
    )
    assert "compared 4 contenders on rows.csv" in read(render(classes())).all("header")[0].text()


def test_a_page_without_networks_says_nothing_of_how_they_learn() -> None:
    results = classes()
    assert "learning rates" in section(read(render(results)), "protocol").text()
    assert "corrected for all" in section(read(render(results)), "pairs").text()
    results["contenders"] = [each for each in results["contenders"] if each["kind"] == "baseline"]
    names = {each["name"] for each in results["contenders"]}
    results["comparisons"] = [pair for pair in results["comparisons"] if {pair["a"], pair["b"]} <= names]
    assert len(results["comparisons"]) == 1
    page = read(render(results))
    assert "learning rates" not in section(page, "protocol").text()
    assert "different where p is below 0.05" in section(page, "pairs").text()


def test_confusion_is_a_grid_for_few_classes_and_pairs_for_many() -> None:
    results = classes()
    encoder = next(each for each in results["contenders"] if each["name"] == "encoder")
    grid = section(read(render(results)), "confusion").all("table", "matrix")[0]
    assert [[int(cell.text()) for cell in row.all("td")] for row in grid.all("tr")[1:]] == encoder["confusion"]
    many = EXAMPLES["forty_classes"]()
    shown = section(read(render(many)), "confusion")
    assert not shown.all("table", "matrix")
    matrix = next(each for each in many["contenders"] if each["name"] == "tfidf")["confusion"]
    worst = max(number for t, row in enumerate(matrix) for a, number in enumerate(row) if t != a)
    truth, (answer, rows) = (
        shown.all("tr")[1].all("th")[0].text(),
        [cell.text() for cell in shown.all("tr")[1].all("td")],
    )
    labels = many["data"]["labels"]
    row = matrix[labels.index(truth)]
    assert rows == f"{worst} of {sum(row)}"
    assert row[labels.index(answer)] == worst


def test_disagreements_show_text_truth_and_answers_and_are_bounded() -> None:
    results = twelve_contenders()
    shown = section(read(render(results)), "disagreements")
    cards = shown.all("ol", "cards")[0].all("div", "answers") + shown.all("details")[0].all("div", "answers")
    assert len(cards) == MOST_ROWS
    assert f"{73 - MOST_ROWS} more rows are not shown here. All predictions are in predictions.parquet" in shown.text()
    row = results["disagreements"][0]
    first = shown.all("li")[0]
    assert row["text"] in first.text() and row["truth"] in first.text()
    for group in first.all("div", "answers")[0].children:
        assert isinstance(group, Element)
        verdict, answer = group.all("span")[0].text(), group.all("bdi")[0].text()
        assert ("right" in verdict) == (answer == row["truth"])
        for name in group.all("li"):
            word, sure = name.text().rsplit(" ", 1)
            assert row["predictions"][word] == answer
            assert sure == percent(row["probabilities"][word])


def test_what_was_chosen_among_the_tries_is_marked() -> None:
    tries = section(read(render(classes())), "protocol").all("table")[0]
    rows = [[cell.text() for cell in row.all("td")] for row in tries.all("tr")[1:]]
    assert sum(row[-1] == "chosen" for row in rows) == 3
    assert ["learning rate 0.0003", "chosen"] in [[row[0], row[-1]] for row in rows]
