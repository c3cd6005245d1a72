"""Text as people have it: comments, sloppy tables, encodings, one user per line in all its forms."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from fractalrs.errors import InputError
from fractalrs.reading import read_interactions
from helpers.sources import CASES, CELLS, FOUR, NAMES, Write, rows, said


@pytest.mark.parametrize(
    ("name", "count", "users", "first"),
    [
        ("konect-comments.tsv", 1198, 282, (68, 13, 2.0, 1_300_000_680)),
        ("snap-comments.txt", 1198, 282, (68, 13)),
        ("aligned-blanks.txt", 1199, 282, (68, 13, 2.0, 1_300_000_680)),
        ("trailing-delimiter.csv", 1199, 282, (68, 13, 2.0, 1_300_000_680)),
        ("r-row-names.txt", 1199, 282, (68, 13, 2.0, 1_300_000_680)),
        ("header-of-numbers.csv", 1199, 282, (68, 13, 2.0)),
        ("count-prefixed-lines.dat", 4686, 300, (1, 89)),
    ],
)
def test_shared_cases(name: str, count: int, users: int, first: tuple[Any, ...]) -> None:
    if not (CASES / name).exists():
        pytest.skip("the shared cases are not beside the project")
    read = read_interactions(CASES / name)
    assert (len(read), len(read.codes("user_id")[1])) == (count, users)
    assert rows(read)[0] == first


# --- comments, and what Excel, R and pandas write ---------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["#", "%"])
@pytest.mark.parametrize("header", [NAMES, ""])
@pytest.mark.parametrize("packed", [False, True])
def test_comments_are_skipped_and_said(write: Write, mark: str, header: str, packed: bool) -> None:
    text = f"{mark} made by hand\n{mark}\n{header}{CELLS}".encode()
    read = read_interactions(write(gzip.compress(text) if packed else text))
    assert rows(read) == FOUR
    assert said(read, f"begin with {mark!r}")


def test_comments_between_rows_are_skipped_and_lines_keep_their_numbers(write: Write) -> None:
    text = "# one\n2,10,4.5,900000001\n# two, with, three, commas\n1,7,3,900000002\n2,7,1,900000003\n"
    assert rows(read_interactions(write(text))) == FOUR
    # Also where the first cell, which tells a comment, is not read.
    numbers = "# a\n1,2,10\n2,1,7\n#,5,5\n3,2,7\n"
    assert rows(read_interactions(write(numbers), user_column=2, item_column=3)) == [(2, 10), (1, 7), (2, 7)]
    with pytest.raises(InputError, match=r"line 6: the rating 'bad'"):
        read_interactions(write(text + "5,5,bad,900000003\n"))


def test_names_in_a_comment_are_names(write: Write) -> None:
    for text in ("#user_id,item_id\n5,6\n7,8\n", "# item_id,user_id\n6,5\n8,7\n"):
        read = read_interactions(write(text))
        assert rows(read) == [(5, 6), (7, 8)]
        assert said(read, "'user_id'")


def test_ids_may_begin_as_comments_do(write: Write) -> None:
    assert rows(read_interactions(write("#a,1\n#b,2\nc,3\n"))) == [("#a", 1), ("#b", 2), ("c", 3)]
    assert rows(read_interactions(write("#a,1\n#b,2\n"))) == [("#a", 1), ("#b", 2)]


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "sep=;\r\n"])
@pytest.mark.parametrize("header", [NAMES, ""])
def test_what_excel_says_of_the_delimiter(write: Write, first: str, header: str) -> None:
    read = read_interactions(write(first + (header + CELLS).replace(",", ";")))
    assert rows(read) == FOUR
    assert said(read, "says that the delimiter is ';'")


@pytest.mark.parametrize("blanks", [" ", "   "])
@pytest.mark.parametrize("header", [NAMES, ""])
def test_columns_aligned_by_blanks(write: Write, blanks: str, header: str) -> None:
    text = "".join(f"   {line}  \n" for line in (header + CELLS).splitlines()).replace(",", blanks).replace("1 ", "1  ")
    assert rows(read_interactions(write(text, "u.data"))) == FOUR
    assert rows(read_interactions(write(gzip.compress(text.encode()), "u.data.gz"), delimiter=" ")) == FOUR


def test_empty_cells_between_tabs_stay_empty(write: Write) -> None:
    with pytest.raises(InputError, match="line 3: the rating is missing"):
        read_interactions(write("user_id\titem_id\trating\n1\t2\t3\n2\t3\t\n", "a.tsv"))


@pytest.mark.parametrize("header", [NAMES, NAMES.replace("\n", ",\n"), ""])
@pytest.mark.parametrize("delimiter", [",", "\t", "::", ";"])
def test_delimiters_at_the_end_of_lines(write: Write, header: str, delimiter: str) -> None:
    text = (header + CELLS.replace("\n", ",\n")).replace(",", delimiter)
    assert rows(read_interactions(write(text, "a.txt"))) == FOUR


@pytest.mark.parametrize("quote", ['"', ""])
def test_names_of_rows_as_r_writes_them(write: Write, quote: str) -> None:
    header = " ".join(f"{quote}{name}{quote}" for name in ("user", "item", "rating"))
    text = header + "\n" + "".join(f"{quote}{row}{quote} {row * 7} {row * 9} 4\n" for row in range(1, 5))
    read = read_interactions(write(text, "r.txt"))
    assert rows(read) == [(7, 9, 4.0), (14, 18, 4.0), (21, 27, 4.0), (28, 36, 4.0)]
    assert said(read, "names of rows")
    words = '"user_id","item_id"\n"a","x 1","y"\n"b","x 2","y"\n'
    assert rows(read_interactions(write(words))) == [("x 1", "y"), ("x 2", "y")]
    with pytest.raises(InputError, match="line 2: 3 cells instead of 2"):
        read_interactions(write("user_id,item_id\n5,6,7\n5,7,8\n"))


@pytest.mark.parametrize(
    "text",
    [
        ",0,1,2,3\n0,2,10,4.5,900000001\n1,1,7,3,900000002\n2,2,7,1,900000003\n",
        "0,1,2,3\n2,10,4.5,900000001\n1,7,3,900000002\n2,7,1,900000003\n",
    ],
)
def test_headers_of_numbers(write: Write, text: str) -> None:
    read = read_interactions(write(text))
    assert rows(read) == FOUR
    assert said(read, "header is of numbers")


def test_a_row_may_read_like_a_header_of_numbers(write: Write) -> None:
    assert rows(read_interactions(write("0,1,2\n3,4,5\n"))) == [(0, 1, 2.0), (3, 4, 5.0)]
    assert rows(read_interactions(write("0,1,2\n3,4,5\n"), header=True)) == [(3, 4, 5.0)]


def test_decimal_commas(write: Write) -> None:
    read = read_interactions(write("userId;movieId;rating\n1;2;4,5\n1;3;3\n2;2;0,5\n"))
    assert rows(read) == [(1, 2, 4.5), (1, 3, 3.0), (2, 2, 0.5)]
    assert said(read, "decimal commas")
    with pytest.raises(InputError, match="line 3: the rating '1,500' is not a number"):
        read_interactions(write("userId;movieId;rating\n1;2;4\n1;3;1,500\n"))
    with pytest.raises(InputError, match=r"line 1502: the rating '3\.5' is not a number"):
        read_interactions(write("userId;movieId;rating\n" + "1;2;4,5\n" * 1500 + "1;3;3.5\n"))


def test_a_header_of_several_lines(write: Write) -> None:
    assert rows(read_interactions(write('"user\nid",item_id\n5,6\n7,8\n'))) == [(5, 6), (7, 8)]


def test_the_quick_path_reads_as_the_other_does(write: Write) -> None:
    """A column that only the other path takes must not change the rest."""
    for text in (
        "# c\nuser_id,item_id,rating,timestamp,x\n1,2,3,900000001,a\n#1,2,3,900000001,a\n2,3,4.5,900000002,b\n",
        "userId movieId rating timestamp x\n 1 2 3 900000001 a\n 2  3 4.5 900000002 b\n",
        "sep=;\nuserId;movieId;rating;timestamp;x\n1;2;3;900000001;a\n2;3;4.5;900000002;b\n",
        ",0,1,2,3,x\n0,1,2,3,900000001,a\n1,2,3,4.5,900000002,b\n".replace(
            "0,1,2,3,x\n0", "userId,movieId,rating,time,x\n0"
        ),
    ):
        path = write(text, "a.txt")
        quick, other = read_interactions(path), read_interactions(path, carry=["x"])
        assert rows(quick) == [row[:4] for row in rows(other)] == [(1, 2, 3.0, 900000001), (2, 3, 4.5, 900000002)]


# --- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("packed", [False, True])
def test_byte_order_marks_tell_the_encoding(write: Write, encoding: str, packed: bool) -> None:
    text = (NAMES + CELLS + "é,7,1,900000003\n").encode(encoding)
    read = read_interactions(write(gzip.compress(text) if packed else text))
    assert rows(read) == [*((str(user), *rest) for user, *rest in FOUR), ("é", 7, 1.0, 900_000_003)]


@pytest.mark.parametrize(
    ("encoding", "word"),
    [("gbk", "用户"), ("latin-1", "Müller"), ("cp1252", "Œuvre"), ("shift_jis", "映画"), ("utf-16-le", "é")],
)
def test_told_encodings(write: Write, encoding: str, word: str) -> None:
    text = f"user_id,item_id\n1,{word}\n" * 1 + "2,x\n" * 2000 + f"3,{word}\n"
    read = read_interactions(write(text.encode(encoding)), text_encoding=encoding)
    assert (rows(read)[0], rows(read)[-1], len(read)) == ((1, word), (3, word), 2002)
    with pytest.raises(InputError, match=r"text_encoding is for text|not a text file|not UTF-8|has no|cannot tell"):
        read_interactions(write(text.encode(encoding)))


def test_other_encodings_are_named_with_one_that_reads_them(write: Write) -> None:
    for encoding, word in (("gbk", "用户"), ("latin-1", "Müller")):
        path = write(f"user_id,item_id\n1,x\n1,{word}\n".encode(encoding))
        with pytest.raises(InputError, match=f"line 3: the item_id is not UTF-8(?s:.*)text_encoding='{encoding}'"):
            read_interactions(path)
        assert rows(read_interactions(path, text_encoding=encoding)) == [(1, "x"), (1, word)]
    with pytest.raises(InputError, match="line 3: this is not gbk"):
        read_interactions(write(b"user_id,item_id\n1,x\n1,\xff\n"), text_encoding="gbk")
    for unknown in ("nonsense", 5, "rot13", "base64"):
        with pytest.raises(InputError, match="text_encoding"):
            read_interactions(write(NAMES + CELLS), text_encoding=unknown)  # type: ignore[arg-type]


# --- one user per line ------------------------------------------------------------------------------------------------


def test_items_with_counts(write: Write) -> None:
    read = read_interactions(write("u1 a:2 b:1.5\nu2 a:1\nu3\n", "w.txt"))
    assert rows(read) == [("u1", "a", 2.0), ("u1", "b", 1.5), ("u2", "a", 1.0)]
    assert said(read, "item:count")
    late = "".join(f"{user} 1:1 2:2{' 3:3' * (user % 2)}\n" for user in range(2000))
    with pytest.raises(InputError, match="line 2001: this is not item:count"):
        read_interactions(write(late + "2000 1:x 2:2\n", "w.txt"))


def test_lines_that_begin_with_a_count(write: Write) -> None:
    read = read_interactions(write("2 5 6\n1 5\n2 6 7\n0\n3 5 6 7\n", "users.dat"))
    assert rows(read) == [(1, 5), (1, 6), (2, 5), (3, 6), (3, 7), (5, 5), (5, 6), (5, 7)]
    assert said(read, "the user being the number of the line")
    weighted = read_interactions(write("2 5:3 6:1\n1 5:2\n2 6:1 7:1\n", "mult.dat"))
    assert rows(weighted) == [(1, 5, 3.0), (1, 6, 1.0), (2, 5, 2.0), (3, 6, 1.0), (3, 7, 1.0)]
    late = "2 5 6\n1 5\n" * 1000 + "3 5 6\n"
    with pytest.raises(InputError, match="line 2001: its first number does not count the others"):
        read_interactions(write(late, "users.dat"))


def test_a_few_lines_that_happen_to_count_are_users(write: Write) -> None:
    assert rows(read_interactions(write("2 5 6\n1 7\n", "a.txt"))) == [(2, 5), (2, 6), (1, 7)]


def test_a_hint_at_lines_is_given_where_it_helps(write: Write) -> None:
    path = write("".join(f"{user} 5 6\n" for user in range(2000)) + "9999 5 6 7\n", "a.txt")
    with pytest.raises(InputError, match=r"line 2001: 4 cells instead of 3(?s:.*)--input-format lines"):
        read_interactions(path)
    assert len(read_interactions(path, format="lines")) == 4003
    table = write("".join(f"{user % 7} 5 6\n" for user in range(2000)) + "1 5 6 7\n", "a.txt")
    with pytest.raises(InputError, match=r"line 2001: 4 cells instead of 3\nhint: correct or remove the line$"):
        read_interactions(table)


# --- blocks of one item, matrices -------------------------------------------------------------------------------------


def test_blocks_of_one_item(write: Write) -> None:
    text = "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n\n822109,4,2005-10-19\n"
    read = read_interactions(write(text, "combined_data_1.txt"))
    assert [row[:3] for row in rows(read)] == [(1488844, 1, 3.0), (822109, 1, 5.0), (822109, 2, 4.0)]
    assert str(rows(read)[0][3]) == "2005-09-06 00:00:00"
    with pytest.raises(InputError, match="line 7: '5,6' is no row of 3 cells"):
        read_interactions(write(text + "5,6\n", "combined_data_1.txt"))
    with pytest.raises(InputError, match="a rating is no number"):
        read_interactions(write(text + "5,x,2005-09-06\n", "combined_data_1.txt"))


def test_matrix_market(write: Write) -> None:
    import scipy.io
    import scipy.sparse

    matrix = scipy.sparse.coo_array(([2.5, 1.0, 4.0], ([0, 2, 2], [1, 0, 2])))
    path = write("", "m.mtx")
    scipy.io.mmwrite(path, matrix, symmetry="general")
    assert sorted(rows(read_interactions(path))) == [(1, 2, 2.5), (3, 1, 1.0), (3, 3, 4.0)]
    pattern = "%%MatrixMarket matrix coordinate pattern general\n% by hand\n3 3 2\n1 2\n3   3\n"
    assert rows(read_interactions(write(pattern, "p.mtx"))) == [(1, 2), (3, 3)]
    assert rows(read_interactions(write(gzip.compress(pattern.encode()), "p.mtx.gz"))) == [(1, 2), (3, 3)]
    for kind in ("coordinate real symmetric", "array real general", "coordinate complex general"):
        with pytest.raises(InputError, match=f"of the kind 'matrix {kind}'"):
            read_interactions(write(f"%%MatrixMarket matrix {kind}\n2 2 1\n1 1 1\n", "s.mtx"))
    with pytest.raises(InputError, match="line 4: 2 cells instead of 3"):
        read_interactions(write("%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n1 2\n", "c.mtx"))


# --- what is not read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SQLite format 3\0" + b"\0" * 100, "an SQLite database"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "an HDF5 file"),
        (b"Obj\x01" + b"\0" * 100, "an Avro file"),
        (b"ORC\x0a\x0b", "an ORC file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100, "an Excel workbook"),
        (b"ARROW1\0\0" + b"\0" * 10, "an Arrow .Feather. file"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.", "a pickled Python object"),
        (b"% made by hand\n@RELATION ratings\n@ATTRIBUTE user NUMERIC\n@DATA\n1,2\n", "an ARFF file"),
        (b"<!DOCTYPE html>\n<html><body>1,2</body></html>", "an HTML page"),
        (b"\n<?xml version='1.0'?>\n<a/>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b"\xfd7zXZ\0\0", "a file packed with xz"),
        (b"7z\xbc\xaf\x27\x1c\0", "a 7-Zip archive"),
        (b"{'reviewerID': 'A1', 'asin': 'B1', 'overall': 5.0}\n" * 3, "a Python dict on each line, not JSON"),
        (b"{u'reviewerID': 'A1', u'asin': None}\n", "a Python dict on each line, not JSON"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_not_read_is_named(write: Write, content: bytes, message: str, packed: bool) -> None:
    path = write(gzip.compress(content) if packed else content, "ratings.csv")
    with pytest.raises(InputError, match=f"{message}.*which is not read\nhint: ."):
        read_interactions(path)


def test_the_way_from_python_dicts_to_json_works(write: Write, tmp_path: Path) -> None:
    import re
    import subprocess
    import sys

    path = write(
        "{'reviewerID': 'A1', 'asin': 'B1', 'text': 'it\\'s'}\n{'reviewerID': 'A2', 'asin': 'B1'}\n", "loose.json"
    )
    with pytest.raises(InputError) as error:
        read_interactions(path)
    program = re.search(r'python -c "(.*)" < loose.json > loose.jsonl', error.value.hint or "")
    assert program is not None
    with path.open() as source, (tmp_path / "loose.jsonl").open("w") as target:
        subprocess.run([sys.executable, "-c", program[1]], stdin=source, stdout=target, check=True)
    assert rows(read_interactions(tmp_path / "loose.jsonl")) == [("A1", "B1"), ("A2", "B1")]
