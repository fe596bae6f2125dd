// Numbers in boxes and on tracks: thin spaces in thousands, e-notation where a number is long.

function boxText(value, field) {
  if (typeof value !== "number") return String(value ?? "");
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) {
    const [mantissa, exponent] = value.toExponential().split("e");
    const short = mantissa.length > 4 ? Number(mantissa).toFixed(2) : mantissa;
    const full = short.includes(".") ? short : short + ".0";
    return `${full.replace("-", "−")}e${String(Number(exponent)).replace("-", "−")}`;
  }
  if (field.type === "int") {
    return String(value).replace("-", "−").replace(/\B(?=(\d{3})+$)/g, "\u2009");
  }
  const places = field.step ? Math.max(0, -Math.floor(Math.log10(field.step) + 1e-9)) : 0;
  const rounded = value.toFixed(Math.min(places, 8));
  const shown = Number(rounded) === value ? rounded : String(Number(value.toPrecision(6)));
  return shown.replace("-", "−");
}

// A number where the text is one; the text itself where not, for the kernel to name the fault. An
// empty box is no number where the knob may go without.
function boxValue(text, field = {}) {
  if (text.trim() === "" && field.default === null) return null;
  const plain = text.replace(/[\s\u2009\u202f]/g, "").replace(/−/g, "-").replace(/,/g, ".");
  if (plain === "" || Number.isNaN(Number(plain))) return text.trim();
  return Number(plain);
}

// The track of a slider: share 0..1 of its length for a value, and back.
function track(field) {
  const [low, high] = [field.ge, field.le];
  if (low === null || high === null || low >= high) return null;
  const whole = field.type === "int";
  if (field.scale === "log") {
    const floor = low > 0 ? low : field.step || high / 1e4;
    const decades = Math.log10(high / floor);
    return {
      share: (value) => clamp(value <= floor ? 0 : Math.log10(value / floor) / decades, 0, 1),
      value: (share) => {
        if (share <= 0) return low;
        if (share >= 1) return high;
        const raw = floor * 10 ** (share * decades);
        return whole ? Math.round(raw) : Number(raw.toPrecision(2));
      },
      move(value, steps) {
        const unit = 1 / Math.max(20, Math.round(decades * 10));
        let share = this.share(value);
        let next = value;
        for (let tries = 0; tries < 50 && next === value && share >= 0 && share <= 1; tries += 1) {
          share += steps * unit;
          next = this.value(share);
        }
        return clamp(next, low, high);
      },
    };
  }
  const step = field.step || niceStep((high - low) / 100);
  const snap = (value) => Number((low + Math.round((value - low) / step) * step).toPrecision(12));
  return {
    share: (value) => clamp((value - low) / (high - low), 0, 1),
    value: (share) => clamp(snap(low + share * (high - low)), low, high),
    move: (value, steps) => clamp(snap(value + steps * step), low, high),
  };
}

function niceStep(raw) {
  const power = 10 ** Math.floor(Math.log10(raw));
  const lead = raw / power;
  return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function spoken(value, field) {
  const unit = field.unit === "×" ? "times" : field.unit === "%" ? "per cent" : field.unit;
  return unit ? `${value} ${unit}` : String(value);
}
