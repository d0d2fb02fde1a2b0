// UTF-8 that must be taken and that must be refused, in the numbering of Autobahn's cases 6.2 to 6.23, most of it from
// Markus Kuhn's stress test: [number, bytes].

function numbered(group, list) {
  return list.map((hex, i) => [`${group}.${i + 1}`, Buffer.from(hex, "hex")]);
}

// Every lonely first byte from..to, each with a space behind it.
function lonely(from, to) {
  let hex = "";
  for (let byte = from; byte <= to; byte++) hex += `${byte.toString(16)}20`;
  return hex;
}

const kosme = "cebae1bdb9cf83cebcceb5";

// The last two code points of each plane, which are characters to UTF-8.
function nonCharacters() {
  const all = [];
  for (let plane = 0; plane <= 16; plane++)
    for (const end of [0xfffe, 0xffff])
      all.push(Buffer.from(String.fromCodePoint(plane * 0x10000 + end)).toString("hex"));
  return all;
}

export const valid = [
  ...numbered("6.2", ["48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121"]),
  ...numbered("6.5", [kosme]),
  ...numbered("6.6", ["ceba", "cebae1bdb9", "cebae1bdb9cf83", "cebae1bdb9cf83cebc"]),
  ...numbered("6.7", ["c280", "e0a080", "f0908080"]),
  ...numbered("6.9", ["7f", "dfbf", "efbfbf", "f48fbfbf"]),
  ...numbered("6.11", ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf"]),
  ...numbered("6.22", nonCharacters()),
  ...numbered("6.23", ["efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "e280a8", "efbbbf"]),
];

const continuations = Array.from({ length: 64 }, (_, i) => (0x80 + i).toString(16)).join("");
const cut = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"];

export const invalid = [
  ...numbered("6.3", [`${kosme}eda080656469746564`]),
  ...numbered("6.6b", ["ce", "cebae1", "cebae1bd", "cebae1bdb9cf", "cebae1bdb9cf83ce", "cebae1bdb9cf83cebcce"]),
  ...numbered("6.8", ["f888808080", "fc8480808080"]),
  ...numbered("6.10", ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"]),
  ...numbered("6.11b", ["f4908080"]),
  ...numbered("6.12", ["80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf", continuations]),
  ...numbered("6.13", [
    lonely(0xc0, 0xdf), lonely(0xe0, 0xef), lonely(0xf0, 0xf7), lonely(0xf8, 0xfb), lonely(0xfc, 0xfd),
  ]),
  ...numbered("6.14", cut),
  ...numbered("6.15", [cut.join("")]),
  ...numbered("6.16", ["fe", "ff", "fefeffff"]),
  ...numbered("6.17", ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"]),
  ...numbered("6.18", ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"]),
  ...numbered("6.19", ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"]),
  ...numbered("6.20", ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"]),
  ...numbered("6.21", [
    "eda080edb080", "eda080edbfbf", "edadbfedb080", "edadbfedbfbf", "edae80edb080", "edae80edbfbf", "edafbfedb080",
    "edafbfedbfbf",
  ]),
];
