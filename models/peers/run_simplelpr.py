"""SimpleLPR (PyPI, proprietary, trial) as a peer: a picture's file name in, its plates out, a JSON line each.

It is run as a process of its own for comparison only; nothing of it is linked, shipped or needed.
"""

import argparse
import importlib.metadata
import json
import sys
import time

import simplelpr

# The library's own names of countries; those that it does not read are told on standard error.
NAMES = {
    "AZ": "Azerbaijan", "BR": "Brazil", "BY": "Belarus", "CZ": "Czech-Republic", "DE": "Germany", "EE": "Estonia",
    "FI": "Finland", "FR": "France", "GE": "Georgia", "IT": "Italy", "KG": "Kyrgyzstan", "KZ": "Kazakhstan",
    "LT": "Lithuania", "LV": "Latvia", "PL": "Poland", "RU": "Russia", "SK": "Slovakia", "TM": "Turkmenistan",
    "TR": "Turkey", "UA": "Ukraine", "UZ": "Uzbekistan",
}

options = argparse.ArgumentParser()
options.add_argument("--threads", type=int, default=2)
options.add_argument("--countries", default="")
options = options.parse_args()

setup = simplelpr.EngineSetupParms()
setup.cudaDeviceId = -1
setup.enableImageProcessingWithGPU = False
setup.enableClassificationWithGPU = False
setup.maxConcurrentImageProcessingOps = options.threads
engine = simplelpr.SimpleLPR(setup)
wanted = {NAMES.get(code, code) for code in options.countries.split(",") if code}
known = [engine.get_countryCode(index) for index in range(engine.numSupportedCountries)]
missing = sorted(wanted - set(known))
if missing:
    print("SimpleLPR has no", ", ".join(missing), file=sys.stderr)
for index, name in enumerate(known):
    engine.set_countryWeight(index, 1.0 if not wanted or name in wanted else 0.0)
engine.realizeCountryWeights()
processor = engine.createProcessor()
processor.plateRegionDetectionEnabled = True
processor.cropToPlateRegionEnabled = True

print(json.dumps({"ready": "SimpleLPR " + importlib.metadata.version("SimpleLPR")}), flush=True)


def plain(text):
    return "".join(sign for sign in text.upper() if sign.isalnum())


for line in sys.stdin:
    begin = time.perf_counter()
    try:
        found = processor.analyze(json.loads(line)["file"])
    except Exception as error:  # the caller decides what an unreadable picture means
        print(json.dumps({"ms": 0, "reads": [], "error": str(error)}), flush=True)
        continue
    milliseconds = 1000 * (time.perf_counter() - begin)
    reads = []
    for plate in found:
        # Matches with a country first, best first: the last one is the plain text without a country.
        texts = [(plain(match.text), match.confidence) for match in plate.matches]
        box = plate.boundingBox
        if texts:
            reads.append({
                "text": texts[0][0],
                "confidence": texts[0][1],
                "place": [box.left, box.top, box.left + box.width, box.top + box.height],
                "candidates": [text for text, _ in texts[1:]],
            })
    print(json.dumps({"ms": milliseconds, "reads": reads}), flush=True)
