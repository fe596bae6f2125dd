// Claim cards: what a paper says, what was found here, one verdict with its reason. A second card
// is shorter: its paper is not named again, and its setting is among the details.

function claimCards(ctx) {
  const node = h("div", { class: "wb-claims", hidden: true });
  const unfolded = new Set();
  function update(cards) {
    node.hidden = !cards.length;
    node.replaceChildren(...cards.map((card, place) => section(card, place, cards[place - 1])));
  }
  function section(card, place, before) {
    const source = before && before.source === card.source ? null
      : h("div", { class: "wb-claim-source" }, "Claim · ", safeLink(card.url, card.source));
    const head = h("tr", {}, card.columns.map((name, index) =>
      h("th", { scope: "col", class: index ? "wb-right" : "", text: name })), h("th", { scope: "col" },
      h("span", { class: "wb-spoken", text: "verdict" })));
    const rows = card.rows.map((row) => h("tr", {}, h("th", { scope: "row", text: row.what }),
      h("td", { class: "wb-right", text: row.paper }), hereCell(row),
      h("td", { class: "wb-verdict-cell" }, verdictGlyph(row.verdict, 13))));
    const verdictName = (WB_VERDICTS[card.verdict] || WB_VERDICTS.open)[1];
    return h("section", { class: "wb-claim", "aria-label": place ? `Claim ${place + 1}` : "Claim" },
      source,
      h("p", { class: "wb-claim-text", text: card.text }),
      h("table", {}, h("thead", {}, head), h("tbody", {}, rows)),
      h("div", { class: "wb-claim-verdict" }, verdictGlyph(card.verdict, 14),
        h("span", { text: `${verdictName}. ${card.reason}` })),
      place ? null : h("div", { class: "wb-claim-setting", text: card.setting }),
      card.details || card.bibtex ? details(card, place) : "");
  }
  function details(card, place) {
    const box = h("details", { class: "wb-claim-details" },
      h("summary", { text: "How it is judged, and BibTeX" }),
      place ? h("p", { text: card.setting }) : null,
      card.details ? h("p", { text: card.details }) : null,
      card.bibtex ? h("pre", { tabindex: "0", "aria-label": "BibTeX entry", text: card.bibtex }) : null,
      card.bibtex ? h("button", { class: "wb-button wb-small",
        onclick: () => ctx.copy(card.bibtex, "BibTeX copied") }, "Copy BibTeX") : null);
    box.open = unfolded.has(place);
    box.addEventListener("toggle", () => { unfolded[box.open ? "add" : "delete"](place); });
    return box;
  }
  return { node, update };
}

function hereCell(row) {
  const cell = h("td", { class: "wb-right" });
  if (row.here === "not run") cell.append(h("span", { class: "wb-quiet", text: row.here }));
  else if (row.basis === "predicted") cell.append(ringGlyph(), ` ≈ ${row.here}`);
  else cell.append(h("b", { text: row.here }));
  return cell;
}
