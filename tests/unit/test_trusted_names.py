"""What a configuration may name of packages that the operator trusts. No Keras, and no package, is imported."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.composition.limits import model_file_limits
from service.composition.loaders import versions_of
from service.errors import ModelFailedError
from service.keras.files.admission.configuration import NameRefusedError, require_allowed
from service.keras.files.admission.trusted_names import InModule, Registered, TrustedNames
from service.settings import Settings
from service.trusted_packages import describe_package

_BLOCK = Registered("ours", "Block", "Ours>Block")
_NET = Registered("ours", "Net", "Ours>Net")
TRUSTED = TrustedNames(
    registered={
        "model": frozenset([_NET]),
        "layer": frozenset([_BLOCK, _NET]),
        "initializer": frozenset([Registered("ours", "Ramp", "Ours>Ramp")]),
    },
    in_modules={"layer": frozenset([InModule("ours.layers", "Shift")])},
    resolvable=frozenset(["Ours>Block", "Ours>Net", "Ours>Ramp", "Ours>shout", "bare"]),
)


def _entry(module: Any, name: Any, registered: Any, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "registered_name": registered, "config": {"name": "it", **config}}


def _block(**config: Any) -> dict[str, Any]:
    return _entry("ours.layers", "Block", "Ours>Block", **config)


def _keras(name: str, **config: Any) -> dict[str, Any]:
    return _entry("keras.layers", name, None, **config)


def _model(*layers: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "model", "layers": [*layers]}}


HONEST = {
    "registered": _block(filters=8, data_format="channels_last"),
    "elsewhere in the package": _entry("ours.old.place", "Block", "Ours>Block"),
    "of HDF5": {"class_name": "Ours>Block", "config": {"name": "it", "filters": 8}},
    "by module": _entry("ours.layers", "Shift", "Shift"),
    "wrapped": _keras("TimeDistributed", layer=_block()),
    "initializer": _keras("Dense", kernel_initializer=_entry("ours", "Ramp", "Ours>Ramp")),
    "part": _block(backbone=_entry("ours.nets", "Net", "Ours>Net", norm=_keras("BatchNormalization"))),
    "parts": _block(blocks=[{"a": _block(), "b": _keras("Dense", activation="relu")}]),
    "part by module": _block(inner=_entry("ours.layers", "Shift", "Shift")),
    "initializer under a name of its own": _block(
        table=_entry("keras.initializers", "Zeros", None), ramp=_entry("ours", "Ramp", "Ours>Ramp")
    ),
    "called like a registered one": {**_block(), "config": {"name": "bare"}},
}
HOSTILE = {
    "other package": (
        _entry("theirs", "Block", "Ours>Block"),
        "'Block' is no layer of the module 'theirs' that may be loaded",
    ),
    "package that begins alike": (_entry("ours_too", "Block", "Ours>Block"), "'Block'"),
    "other class": (_entry("ours.layers", "Dense", "Ours>Block"), "'Dense'"),
    "not registered": (_entry("ours.layers", "Block", "Block"), "'Block'"),
    "without registered name": (_entry("ours.layers", "Shift", None), "'Shift'"),
    "without module": ({"class_name": "Block", "config": {}}, "'Block' is no layer of Keras 3"),
    "function without module": ({"class_name": "Ours>shout", "config": {}}, "'Ours>shout' is no layer of Keras 3"),
    "module is no text": (_entry(["ours"], "Block", "Ours>Block"), "'Block'"),
    "registered name is no text": (_entry("ours", "Block", ["Ours>Block"]), "'Block'"),
    "function": (_entry("ours", "shout", "Ours>shout"), "'shout'"),
    "function of Python": (_entry("ours", "system", "system"), "'system'"),
    "module of Python": (_entry("os", "system", "Ours>Block"), "'system'"),
    "Keras's own modules": (_entry("keras.src.layers.core.lambda_layer", "Block", "Ours>Block"), "'Block'"),
    "layer as model": (_keras("TimeDistributed", layer=_keras("Dense", kernel_initializer=_block())), "no initializer"),
    "initializer as layer": (_entry("ours", "Ramp", "Ours>Ramp"), "'Ramp' is no layer"),
    "Keras's class under its name": (_entry("keras.layers", "Dense", "Ours>Block"), "registered under another name"),
    "argument of a Keras layer": (_keras("Dense", units=_block()), "plain values belong"),
    "settings of its build": (_block() | {"build_config": {"input_shape": _block()}}, "plain values belong"),
    "argument of its call": (_block() | {"inbound_nodes": [{"args": [_block()], "kwargs": {}}]}, "plain values belong"),
    "function within": (_block(norm=_entry("builtins", "function", "relu")), "a function where none belongs"),
    "named function within": (
        _block(norm={"module": "ours", "class_name": "function", "config": "shout", "registered_name": "Ours>shout"}),
        "a function where none belongs",
    ),
    "function as activation": (
        _block(activation={"module": "ours", "class_name": "function", "config": "Ours>shout"}),
        "'Ours>shout' is no activation",
    ),
    "function as text": (_block(activation="Ours>shout"), "'Ours>shout' is no activation"),
    "function as a plain text": (_block(norm="Ours>shout"), r"\(norm\): 'Ours>shout' is a registered name"),
    "function as a plain text of Keras's": (_keras("Dense", units="bare"), r"\(units\): 'bare' is a registered name"),
    "argument by name": (
        _keras("Dense") | {"inbound_nodes": [{"args": [], "kwargs": {"mask": "Ours>shout"}}]},
        "'Ours>shout' is a registered name",
    ),
    "class by its bare name": (
        _block(inner=_entry("ours.layers", "Shift", "Shift"), other="Shift"),
        r"\(other\): 'Shift' is a registered name",
    ),
    "what is refused without it": (_block(reader=_keras("StringLookup", vocabulary="/etc/passwd")), "'StringLookup'"),
    "compiled": (_block() | {"compile_config": {"optimizer": "adam"}}, "compiled within another model"),
    "compiled part": (_block(part=_block() | {"compile_config": {"loss": "mse"}}), "compiled within another model"),
    "dtype": (_block(dtype="object"), "'object' is no policy"),
}


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("is_archive", [True, False])
def test_configuration_passes_when_its_classes_are_trusted(name: str, *, is_archive: bool):
    require_allowed(_model(HONEST[name]), is_archive=is_archive, trusted=TRUSTED)
    with pytest.raises(NameRefusedError):
        require_allowed(_model(HONEST[name]), is_archive=is_archive)


@pytest.mark.parametrize("name", HOSTILE)
def test_name_is_refused_when_it_is_no_trusted_class_in_its_place(name: str):
    entry, words = HOSTILE[name]
    with pytest.raises(NameRefusedError, match=words):
        require_allowed(_model(entry), is_archive=True, trusted=TRUSTED)
    with pytest.raises(NameRefusedError, match=words):
        require_allowed(_model(_block(part=_keras("TimeDistributed", layer=entry))), is_archive=True, trusted=TRUSTED)


def test_name_is_refused_when_it_is_a_part_of_a_trusted_class():
    entry = _entry("keras.callbacks", "CSVLogger", None, filename="/tmp/log")
    with pytest.raises(NameRefusedError, match=r"'it' \(parts\.a\): 'CSVLogger' is nothing of the module 'keras.call"):
        require_allowed(_model(_block(parts=[{"a": entry}])), is_archive=True, trusted=TRUSTED)


@pytest.mark.parametrize("class_name", ["Lambda", "TFSMLayer", "__lambda__", "TFOpLambda"])
def test_lambda_is_refused_when_it_hides_in_a_trusted_class(class_name: str):
    trick = _entry("ours.layers", class_name, "Ours>Block")
    for entry in (trick, _block(part=trick), _block(parts=[{"a": [_block(part=trick)]}]), _block(activation=trick)):
        with pytest.raises(ModelFailedError, match="is a Lambda"):
            require_allowed(_model(entry), is_archive=True, trusted=TRUSTED)


def test_model_of_a_trusted_class_passes_when_it_is_the_file_s_own():
    net = _entry("ours", "Net", "Ours>Net", part=_block())
    require_allowed(net | {"compile_config": {"optimizer": "adam"}}, is_archive=True, trusted=TRUSTED)
    with pytest.raises(NameRefusedError, match="'Block' is no model"):
        require_allowed(_block(), is_archive=True, trusted=TRUSTED)


def test_classes_that_are_not_registered_are_told_when_a_configuration_names_them():
    shift = InModule("ours.layers", "Shift")
    assert require_allowed(_model(HONEST["by module"]), is_archive=True, trusted=TRUSTED) == {shift}
    assert require_allowed(_model(HONEST["part by module"]), is_archive=True, trusted=TRUSTED) == {shift}
    assert require_allowed(_model(_block()), is_archive=True, trusted=TRUSTED) == frozenset()
    assert TRUSTED.are_in(_model(_block()))
    assert not TRUSTED.are_in(_model(_keras("Dense")))
    assert not replace(TRUSTED, registered={}, in_modules={}).are_in(_model(_block()))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "a_package_of_ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    (folder / "inner.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    describe_package.cache_clear()


@pytest.mark.usefixtures("package")
def test_settings_are_refused_when_a_package_is_not_there():
    assert Settings(trusted_packages=("a_package_of_ours",)).trusted_packages == ("a_package_of_ours",)
    assert Settings(trusted_packages=("a_package_of_ours.inner",))
    for name, words in {
        "a_package_of_theirs": "no package 'a_package_of_theirs' in this environment: install it",
        "a_package_of_ours.outer": "no package",
        "a_package_of_ours.inner.most": "no package",
        "keras": "needs no trust",
        "keras.src.layers": "needs no trust",
        "tensorflow": "needs no trust",
        "../ours": "no name of a package",
        "ours;os": "no name of a package",
    }.items():
        with pytest.raises(ValidationError, match=words):
            Settings(trusted_packages=(name,))


def test_settings_are_refused_when_a_package_lies_among_the_models(package: Path):
    for models in (package.parent, package):
        with pytest.raises(ValidationError, match="in a folder of models"):
            Settings(models=(str(models),), trusted_packages=("a_package_of_ours",))
    assert Settings(models=(str(package.parent / "models"),), trusted_packages=("a_package_of_ours",))


@pytest.mark.usefixtures("package")
def test_packages_are_those_of_a_list_when_the_environment_names_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_TRUSTED_PACKAGES", "a_package_of_ours, a_package_of_ours.inner")
    assert Settings().trusted_packages == ("a_package_of_ours", "a_package_of_ours.inner")


def test_description_changes_when_code_does(package: Path):
    described = describe_package("a_package_of_ours.inner")
    assert described.startswith("a_package_of_ours.inner no release ")
    (package / "more.txt").write_text("no code")
    describe_package.cache_clear()
    assert describe_package("a_package_of_ours.inner") == described
    (package / "__init__.py").write_text("pass")
    describe_package.cache_clear()
    changed = describe_package("a_package_of_ours.inner")
    (package / "__init__.py").rename(package / "other.py")
    describe_package.cache_clear()
    assert len({described, changed, describe_package("a_package_of_ours.inner")}) == 3


def test_cache_and_journal_hold_packages_when_some_are_trusted(package: Path):
    before = versions_of(Settings())
    trusting = versions_of(Settings(trusted_packages=("a_package_of_ours",)))
    assert trusting == f"{before}, {describe_package('a_package_of_ours')}"
    (package / "inner.py").write_text("pass")
    describe_package.cache_clear()
    assert versions_of(Settings(trusted_packages=("a_package_of_ours",))) != trusting
    assert model_file_limits(Settings(trusted_packages=("pydantic",))).trusted_packages == ("pydantic",)


def test_description_has_the_release_when_a_package_has_one():
    assert describe_package("pydantic").split()[1][0].isdigit()
