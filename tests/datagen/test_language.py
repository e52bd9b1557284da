"""English is told from other languages, where there is enough of it."""

import pytest

from sifthinker.datagen.annotators.language import not_english

ENGLISH = "This is the whole picture. To answer I look for the girl under the light, who must be on the left."


@pytest.mark.parametrize(
    ("text", "english"),
    [
        (ENGLISH, True),
        ("Naïve café, 7 m.", True),
        ("", True),
        ("这是整张图片。", False),
        ("Das ganze Bild zeigt eine Straße mit vielen Autos; gefragt wird nach dem Mädchen unter der Ampel, also suche "
         "ich zuerst die Ampel und danach das Mädchen.", False),
        ("Toda la imagen muestra una calle con muchos coches; busco primero el semáforo y después a la niña que está "
         "justo debajo de él.", False),
        ("L'image entière montre une rue avec des voitures; je cherche d'abord le feu, puis la fille qui se trouve "
         "juste en dessous de celui-ci.", False),
        ("Eine Straße mit Autos.", True),  # too short to tell
    ],
)  # fmt: skip
def test_language(text, english):
    assert (not_english(text) is None) == english
