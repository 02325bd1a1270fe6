"""Deciding a file: each row its own decision or its reason, in any format, in bounded memory."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from small_runs import image_run, own_decisions, people, table_run, text_run

import evenhand as eh
from evenhand._base.seals import unsealed
from evenhand.errors import ArtefactError, InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    result, data = table_run(tmp_path_factory.mktemp("table"))
    return result, result.save(data.parent / "run")


def new_rows():
    return people().query("part == 'test'").drop(columns=["part", "sex", "repaid"])


def scored(path):
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def write(frame, path):
    if path.name.endswith(".csv.gz"):
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False, sep=";")
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".feather":
        frame.reset_index(drop=True).to_feather(path)
    else:
        frame.assign(since=frame["since"].astype(str)).to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "feather", "jsonl"])
@pytest.mark.parametrize("out", ["csv", "parquet"])
def test_each_row_is_decided_as_the_run_did(run, tmp_path, form, out):
    data = write(new_rows(), tmp_path / f"new.{form}")
    found = eh.predict(run[1], data, tmp_path / f"scored.{out}", columns=["id"])
    table = scored(found.output)
    assert table.columns.tolist() == ["row", "id", "decision", "score", "reason"]
    assert table["decision"].tolist() == own_decisions(run[0])
    assert table["id"].tolist() == new_rows()["id"].tolist()
    assert table["row"].tolist() == list(range(1, 201))
    assert table["reason"].isna().all()
    np.testing.assert_allclose(table["score"], run[0].run.after.scores, atol=1e-6)
    assert (found.rows, found.decided) == (200, 200)


def test_a_row_that_cannot_be_read_is_empty_and_none_is_shifted(run, tmp_path):
    frame = new_rows().head(40)
    lines = frame.to_csv(index=False).splitlines()
    lines[3] += ",extra,fields"
    lines[4] = "only,two"
    lines[6] = lines[6].replace(str(frame["pay"].iloc[5]), "much")
    lines[40] += ",more"
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    found = eh.predict(run[1], tmp_path / "new.csv", tmp_path / "scored.csv", columns=["id"])
    table = scored(found.output)
    assert (found.rows, found.decided) == (40, 36)
    bad = [2, 3, 5, 39]
    assert table.index[table["reason"].notna()].tolist() == bad
    assert table["decision"].isna().tolist() == table["reason"].notna().tolist()
    assert table["score"].isna().tolist() == table["reason"].notna().tolist()
    assert table["reason"][2] == "the line has 8 fields, the header 6"
    assert table["reason"][3] == "the line has 2 fields, the header 6"
    assert table["reason"][5] == "pay: 'much' is no number"
    good = [row for row in range(40) if row not in bad]
    expected = own_decisions(run[0])
    assert table["decision"][good].tolist() == [expected[row] for row in good]
    assert table["id"][good].tolist() == frame["id"].iloc[good].tolist()
    assert table["id"][5] == frame["id"].iloc[5]


def test_lines_that_do_not_fit_keep_their_place_over_many_blocks(run, tmp_path, monkeypatch):
    from evenhand.tasks import csv_tables

    monkeypatch.setattr(csv_tables, "LONGEST", 1000)
    lines = new_rows().to_csv(index=False).splitlines()
    bad = [0, 1, 7, 50, 51, 52, 120, 198, 199]
    for row in bad:
        lines[row + 1] += ",more"
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    found = eh.predict(run[1], tmp_path / "new.csv", tmp_path / "scored.csv", columns=["id"])
    table = scored(found.output)
    assert table.index[table["reason"].notna()].tolist() == bad
    good = [row for row in range(200) if row not in bad]
    assert table["decision"][good].tolist() == [own_decisions(run[0])[row] for row in good]
    assert table["id"][good].tolist() == new_rows()["id"].iloc[good].tolist()


def test_an_export_is_checked_on_rows_of_many_blocks(run, tmp_path, monkeypatch):
    from evenhand.finetuning.predict import first_rows
    from evenhand.tasks import csv_tables

    monkeypatch.setattr(csv_tables, "LONGEST", 1000)
    lines = new_rows().to_csv(index=False).splitlines()
    lines[3] += ",more"
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    model, own = eh.load(run[1]), own_decisions(run[0])
    readable = own[:2] + own[3:]
    for most in (150, 1000):
        found = first_rows(model, tmp_path / "new.csv", most)
        assert model.predict(found).tolist() == readable[:most]


def test_columns_missing_added_renamed_reordered_or_of_another_type(run, tmp_path):
    frame, out = new_rows(), tmp_path / "scored.csv"

    def decided(changed):
        write(changed, tmp_path / "new.csv")
        return eh.predict(run[1], tmp_path / "new.csv", out)

    expected = own_decisions(run[0])
    turned = frame[frame.columns[::-1]].assign(extra="x", Extra=2)
    found = decided(turned)
    assert scored(out)["decision"].tolist() == expected
    assert "3 columns were not read: id, extra, Extra" in found.notes
    assert "1 column was not read: id" in decided(frame).notes
    with pytest.raises(InputError, match=r"lacks 2 of the 5 columns .* reads: age, town;"):
        decided(frame.rename(columns={"age": "Age", "town": "Town"}))
    texts = frame.assign(pay=frame["pay"].map("{:,.2f} €".format))
    decided(texts)
    assert scored(out)["decision"].tolist() == expected
    with pytest.raises(
        InputError, match=r"none of the 200 rows of new\.csv can be decided: row 1: pay: '"
    ):
        decided(frame.assign(pay=frame["since"].astype(str)))
    assert scored(out)["decision"].tolist() == expected
    assert len(scored(decided(frame.head(1)).output)) == 1
    with pytest.raises(InputError, match="has a header and no rows"):
        decided(frame.head(0))


def test_drift_is_told_and_kept(run, tmp_path):
    frame = new_rows()
    frame["town"] = ["nowhere"] * 150 + ["town 01"] * 50
    frame["age"] = np.nan
    frame.to_csv(tmp_path / "new.csv", index=False)
    found = eh.predict(run[1], tmp_path / "new.csv", tmp_path / "scored.csv")
    kept = unsealed((tmp_path / "scored.csv.drift.json").read_bytes())
    assert kept["columns"]["town"]["unseen"] == 0.75
    assert kept["columns"]["age"]["missing"] == 1
    then = kept["columns"]["age"]["missing in the run's training rows"]
    assert 0.05 < then < 0.15
    share = kept["decisions"]["yes"]
    assert share["share"] == pytest.approx((scored(found.output)["decision"] == "yes").mean())
    assert share["share in the run's test rows"] == own_decisions(run[0]).count("yes") / 200
    said = found.drift.sentences()
    assert said[0].startswith(f"decided yes: {share['share']:.1%} of the rows, ")
    assert any("town: 75.0% are values that the run never saw" in line for line in said)
    assert any(line.startswith("age: 100.0% missing, ") for line in said)
    assert json.loads(json.dumps(found.to_dict()))["rows"] == 200


@pytest.mark.whole
def test_texts(tmp_path):
    result, data = text_run(tmp_path)
    folder = result.save(tmp_path / "run")
    found = eh.predict(folder, data, tmp_path / "scored.csv", columns=["part"])
    table = scored(found.output)
    assert table["decision"][table["part"] == "test"].tolist() == own_decisions(result)
    pd.read_csv(data).rename(columns={"says": "text"}).to_csv(tmp_path / "b.csv")
    with pytest.raises(InputError, match="lacks 1 of the 1 columns that the model reads: says"):
        eh.predict(folder, tmp_path / "b.csv", tmp_path / "scored.csv")


@pytest.mark.whole
def test_images_of_a_table_and_of_a_folder(tmp_path):
    (tmp_path / "faces").mkdir()
    result, data = image_run(tmp_path / "faces")
    (tmp_path / "faces" / "3.png").write_bytes(b"no image")
    found = eh.predict(result.fair_model, data, tmp_path / "scored.csv", columns=["part"])
    table = scored(found.output)
    assert table["decision"][table["part"] == "test"].tolist() == own_decisions(result)
    assert table.index[table["reason"].notna()].tolist() == [3]
    eh.predict(result.fair_model, tmp_path / "faces", tmp_path / "all.csv", columns=["file"])
    other = scored(tmp_path / "all.csv").set_index("file")["decision"]
    again = pd.read_csv(data)["file"].map(other)
    assert again.fillna("").tolist() == table["decision"].fillna("").tolist()
    with pytest.raises(InputError, match="has the column 'file' alone, not part"):
        eh.predict(result.fair_model, tmp_path / "faces", tmp_path / "x.csv", columns=["part"])


def test_what_cannot_be_written_or_carried_is_named(run, tmp_path):
    data = write(new_rows(), tmp_path / "new.csv")
    with pytest.raises(InputError, match=r"must end with \.csv or \.parquet, found '\.xls'"):
        eh.predict(run[1], data, tmp_path / "scored.xls")
    with pytest.raises(InputError, match="'decision' cannot be carried through"):
        eh.predict(run[1], data, tmp_path / "scored.csv", columns=["decision"])
    with pytest.raises(InputError, match="has no column 'ID'"):
        eh.predict(run[1], data, tmp_path / "scored.csv", columns=["ID"])
    with pytest.raises(InputError, match="no file at"):
        eh.predict(run[1], tmp_path / "no.csv", tmp_path / "scored.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]
    (tmp_path / "SHA256SUMS").write_text("")
    with pytest.raises(ArtefactError):
        eh.predict(tmp_path, data, tmp_path / "scored.csv")


@pytest.mark.parametrize("which", ["data", "results", "sums", "link"])
def test_neither_the_data_nor_the_run_is_written_over(run, tmp_path, which):
    folder, data = run[1], tmp_path / "new.csv"
    write(new_rows(), data)
    output = {
        "data": data,
        "results": folder / "results.csv",
        "sums": folder / "model" / ".." / "results.csv",
        "link": tmp_path / "link.csv",
    }[which]
    if which == "link":
        output.symlink_to(data)
    before = output.read_bytes()
    with pytest.raises(InputError, match="is the data, or a file of the run"):
        eh.predict(folder, data, output)
    assert output.read_bytes() == before


def test_rows_are_encoded_a_few_at_a_time_however_the_file_keeps_them(run, tmp_path, monkeypatch):
    from evenhand.tasks import raw_batches

    monkeypatch.setattr(raw_batches, "MOST_ROWS", 37)
    data = write(new_rows(), tmp_path / "new.parquet")
    sizes = []
    found = eh.predict(run[1], data, tmp_path / "scored.csv", columns=["id"], on_rows=sizes.append)
    assert max(sizes) == 37
    assert sum(sizes) == 200
    table = scored(found.output)
    assert table["decision"].tolist() == own_decisions(run[0])
    assert table["id"].tolist() == new_rows()["id"].tolist()
    assert table["row"].tolist() == list(range(1, 201))


def test_shares_are_told_by_weight(run, tmp_path):
    frame = new_rows().assign(w=np.random.default_rng(0).gamma(1, 1, 200))
    frame.loc[frame.index[3], "since"] = None
    data = write(frame, tmp_path / "new.parquet")
    found = eh.predict(run[1], data, tmp_path / "scored.parquet", weight="w")
    table = scored(found.output)
    decided = table.dropna(subset=["decision"])
    expected = (decided.groupby("decision")["w"].sum() / decided["w"].sum()).to_dict()
    assert {k: v for k, v in found.weighted.items() if v} == pytest.approx(expected)
    assert found.to_dict()["weighted"] == found.weighted
    assert "as sure as" in found.notes[0]
    assert eh.predict(run[1], data, tmp_path / "plain.csv").weighted is None


@pytest.mark.parametrize(
    ("weight", "words"),
    [(-1.0, "holds '-1.0' in row 6"), (np.nan, "in row 6"), (np.inf, "holds 'inf' in row 6")],
)
def test_a_weight_that_is_none_is_named_and_nothing_is_written(run, tmp_path, weight, words):
    frame = new_rows().assign(w=1.0)
    frame.iloc[5, frame.columns.get_loc("w")] = weight
    data = write(frame, tmp_path / "new.parquet")
    with pytest.raises(InputError, match=words):
        eh.predict(run[1], data, tmp_path / "scored.csv", weight="w")
    assert not (tmp_path / "scored.csv").exists()
    data = write(frame.assign(w=0.0), tmp_path / "zero.parquet")
    with pytest.raises(InputError, match="zero in all 200 decided rows"):
        eh.predict(run[1], data, tmp_path / "scored.csv", weight="w")


@pytest.mark.parametrize("odd", [np.inf, -np.inf, 1e39, -1e300])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_infinities_count_as_missing_and_are_named(run, tmp_path, odd, form):
    frame = new_rows()
    empty = frame.assign(pay=frame["pay"].where(np.arange(200) >= 3))
    frame.iloc[:3, frame.columns.get_loc("pay")] = odd
    found = eh.predict(run[1], write(frame, tmp_path / f"new.{form}"), tmp_path / "scored.csv")
    assert "pay: 3 values are infinite (or beyond 3.4e38) and count as missing" in " ".join(
        found.drift.sentences()
    )
    kept = unsealed((tmp_path / "scored.csv.drift.json").read_bytes())["columns"]
    assert kept["pay"] == {
        "missing": 3 / 200,
        "missing in the run's training rows": 0,
        "missing as unusable": 3 / 200,
    }
    assert "missing as unusable" not in kept["age"]
    assert found.to_dict()["drift"]["columns"] == kept
    missing = eh.predict(run[1], write(empty, tmp_path / f"e.{form}"), tmp_path / "empty.csv")
    assert scored(found.output)["score"].tolist() == scored(missing.output)["score"].tolist()
    assert not any("count as missing" in line for line in missing.drift.sentences())
