"""What is on disk: plan, parts, private files, manifest, card; writing it and opening it.

Layout of the files is `layout`; what is there `folder`; `writing` puts them there.
"""

from fractalrs.dataset.attributes import blocks_and_sources, match
from fractalrs.dataset.beginning import begun_plan
from fractalrs.dataset.card import Published, data_card
from fractalrs.dataset.claims import false_claims
from fractalrs.dataset.contrast import differences
from fractalrs.dataset.dataset import Dataset, arrow_file, open_dataset, opened, whole_users
from fractalrs.dataset.folder import Folder
from fractalrs.dataset.layout import CARD, MANIFEST, TRUTH_MANIFEST, ParquetOptions
from fractalrs.dataset.manifest import MIXTURE, AttributesEntry, FileEntry, Manifest, PartEntry
from fractalrs.dataset.periods import folders_of
from fractalrs.dataset.plans import OTHER_SOURCE, Plan, checked_licence, plan
from fractalrs.dataset.private import Private, matrices_of, saved_base
from fractalrs.dataset.sizes import expected_bytes
from fractalrs.dataset.survey import forecast, other_plan
from fractalrs.dataset.truths import Known, TruthManifest, expected_truth, require_truth_room, write_truth
from fractalrs.dataset.verification import Fault, Verification, digest_of, folder_of, repair_files, verify_files
from fractalrs.dataset.writing import finish, write, write_part, write_parts, write_plan

__all__ = ["AttributesEntry", "FileEntry", "Folder", "Manifest", "ParquetOptions", "PartEntry", "Private"]
__all__ += [
    "OTHER_SOURCE",
    "Plan",
    "checked_licence",
    "differences",
    "expected_bytes",
    "false_claims",
    "other_plan",
    "plan",
]
__all__ += ["begun_plan", "finish", "folders_of", "forecast", "match", "matrices_of", "saved_base"]
__all__ += ["blocks_and_sources", "write", "write_part", "write_parts", "write_plan"]
__all__ += ["Dataset", "arrow_file", "open_dataset", "opened", "whole_users"]
__all__ += ["TRUTH_MANIFEST", "Known", "TruthManifest", "expected_truth", "require_truth_room", "write_truth"]
__all__ += ["CARD", "MANIFEST", "MIXTURE", "Published", "data_card"]
__all__ += ["Fault", "Verification", "digest_of", "folder_of", "repair_files", "verify_files"]
