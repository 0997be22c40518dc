"""What the columns of tables are usually called: of recordings, of transcripts, of speakers."""

from __future__ import annotations

AUDIO_COLUMNS = (
    "audio_filepath",
    "audio",
    "path",
    "file",
    "filename",
    "file_name",
    "wav",
    "wav_filename",
    "audio_path",
)
TEXT_COLUMNS = ("text", "sentence", "transcript", "transcription", "words")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id", "spk", "spk_id", "reader")
