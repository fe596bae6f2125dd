// Claim card: what the paper says, what was found here, one verdict with its reason.

function claimCard(ctx) {
  const node = h("section", { class: "wb-claim", "aria-label": "Claim", hidden: true });
  let unfolded = false;
  function update(card) {
    node.hidden = !card;
    if (!card) return;
    const head = h("tr", {}, card.columns.map((name, index) =>
      h("th", { scope: "col", class: index ? "wb-right" : "", text: name })), h("th", { scope: "col" },
      h("span", { class: "wb-spoken", text: "verdict" })));
    const rows = card.rows.map((row) => h("tr", {}, h("th", { scope: "row", text: row.what }),
      h("td", { class: "wb-right", text: row.paper }), hereCell(row),
      h("td", { class: "wb-verdict-cell" }, verdictGlyph(row.verdict, 13))));
    const verdictName = (WB_VERDICTS[card.verdict] || WB_VERDICTS.open)[1];
    node.replaceChildren(
      h("div", { class: "wb-claim-source" }, "Claim · ", safeLink(card.url, card.source)),
      h("p", { class: "wb-claim-text", text: card.text }),
      h("table", {}, h("thead", {}, head), h("tbody", {}, rows)),
      h("div", { class: "wb-claim-verdict" }, verdictGlyph(card.verdict, 14),
        h("span", { text: `${verdictName}. ${card.reason}` })),
      h("div", { class: "wb-claim-setting", text: card.setting }),
      card.details || card.bibtex ? details(card) : "",
    );
  }
  function details(card) {
    const box = h("details", { class: "wb-claim-details" },
      h("summary", { text: "How it is judged, and BibTeX" }),
      card.details ? h("p", { text: card.details }) : null,
      card.bibtex ? h("pre", { tabindex: "0", "aria-label": "BibTeX entry", text: card.bibtex }) : null,
      card.bibtex ? h("button", { class: "wb-button wb-small",
        onclick: () => ctx.copy(card.bibtex, "BibTeX copied") }, "Copy BibTeX") : null);
    box.open = unfolded;
    box.addEventListener("toggle", () => { unfolded = box.open; });
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
