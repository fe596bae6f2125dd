// Numbers as workbench/figures/numbers.py writes them, for those that only the browser knows.

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷",
  8: "⁸", 9: "⁹" };

function formatNumber(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const sign = value < 0 ? "−" : "";
  if (!Number.isFinite(value)) return sign + "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power >= 6 || power < -4) {
    const raised = String(power).replace(/./g, (letter) => SUPERSCRIPT[letter]);
    const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return short === "1" ? `${sign}10${raised}` : `${sign}${short} × 10${raised}`;
  }
  const places = Number.isInteger(value) ? 0 : Math.max(0, digits - 1 - power);
  const [whole, part] = size.toFixed(places).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u2009");
  return sign + grouped + (part ? "." + part : "");
}

function formatCell(value, unit) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  return formatNumber(value) + (unit ? " " + unit : "");
}
