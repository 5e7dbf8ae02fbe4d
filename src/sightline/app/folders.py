"""What is said of a model's folder, by every verb that writes one."""

from __future__ import annotations

from pathlib import Path

from sightline.app import talk


def say_note(folder: Path) -> None:
    """Where other libraries would compute something else from the folder than Sightline does, say so."""
    from sightline.weights.files import read_json

    config = folder / "config.json"
    own = read_json(config).get("sightline") if config.is_file() else None  # a baseline's folder has none
    if isinstance(own, dict) and "note" in own:
        talk.say(f"note: {own['note']}")
