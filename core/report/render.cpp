#include "base/atomic_file.h"
#include "base/posix_file.h"
#include "base/table.h"
#include "report/escaping.h"
#include "report/report.h"
#include "report/spots.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

bool is_text(const ReportColumn& column) { return column.kind == ReportColumn::Kind::text; }

std::string terminal_table(const ReportTable& table) {
  std::vector<TextTable::Column> columns;
  columns.reserve(table.columns.size());
  for (const ReportColumn& column : table.columns) {
    columns.push_back({terminal_text(column.name),
                       is_text(column) ? TextTable::Align::left : TextTable::Align::right});
  }
  TextTable text(columns);
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    cells.reserve(row.size());
    for (const ReportCell& cell : row) {
      cells.push_back(terminal_text(cell.text));
    }
    text.add_row(std::move(cells));
  }
  return text.text();
}

std::string markdown_table(const ReportTable& table) {
  std::string text = "|";
  for (const ReportColumn& column : table.columns) {
    text += " " + markdown_text(column.name) + " |";
  }
  text += "\n|";
  for (const ReportColumn& column : table.columns) {
    text += is_text(column) ? " --- |" : " ---: |";
  }
  for (const auto& row : table.rows) {
    text += "\n|";
    for (const ReportCell& cell : row) {
      text += " " + markdown_text(cell.text) + " |";
    }
  }
  return text + "\n";
}

/// A wide table is scrolled by keys, too, so its box takes the focus and has a name.
std::string html_table(const ReportTable& table, const std::string& section) {
  const auto class_of = [&](size_t column) {
    return is_text(table.columns[column]) ? "" : " class=\"number\"";
  };
  std::string text = fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}, table {}\">"
      "<table>\n<thead><tr>",
      xml_text(section), xml_text(table.name));
  for (size_t i = 0; i < table.columns.size(); ++i) {
    text +=
        fmt::format("<th scope=\"col\"{}>{}</th>", class_of(i), xml_text(table.columns[i].name));
  }
  text += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      text += fmt::format("<td{}>{}</td>", class_of(i), xml_text(row[i].text));
    }
    text += "</tr>\n";
  }
  return text + "</tbody></table></div>\n";
}

/// The cells of a CSV file for a cell of the table.
std::vector<std::string> csv_cells(const ReportColumn& column, const ReportCell& cell) {
  if (is_text(column) || cell.numbers.empty()) {
    return {csv_text(cell.text)};
  }
  std::vector<std::string> cells;
  for (const std::optional<double>& number : cell.numbers) {
    cells.push_back(number && std::isfinite(*number) ? fmt::format("{}", *number) : "");
  }
  return cells;
}

std::vector<std::string> csv_titles(const ReportColumn& column) {
  if (column.kind == ReportColumn::Kind::interval) {
    return {csv_text(column.name + " low"), csv_text(column.name + " high")};
  }
  return {csv_text(column.name)};
}

/// Paragraphs and notes.
std::vector<std::string> words_of(const ReportSection& section) {
  std::vector<std::string> words = section.paragraphs;
  words.insert(words.end(), section.notes.begin(), section.notes.end());
  return words;
}

std::string html_image(const ReportImage& image) {
  return fmt::format(
      "<figure><figcaption>{}</figcaption>\n<p>{}</p>\n<img src=\"data:image/png;base64,{}\" "
      "width=\"{}\" height=\"{}\" alt=\"{}\"></figure>\n",
      xml_text(image.title), xml_text(image.words), base64_text(image.png), image.width,
      image.height, xml_text(image.alt));
}

constexpr const char* page_style = R"(
:root{color-scheme:light dark;--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--stripe:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9da7b1;--line:#30363d;--stripe:#151b23}}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 1rem}h2{font-size:1.15rem;margin:2.2rem 0 .4rem}
p{max-width:48rem;margin:.4rem 0;color:var(--soft)}nav{margin:0 0 1rem}nav a{margin-right:1rem}
section{content-visibility:auto;contain-intrinsic-size:auto 50rem}
a{color:inherit}.scroll{overflow-x:auto;margin:.8rem 0}
a:focus-visible,.scroll:focus-visible{outline:2px solid var(--ink);outline-offset:2px}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr:nth-child(even){background:var(--stripe)}.number{text-align:right}
figure{margin:1rem 0}figcaption{font-weight:600;font-size:.92rem;margin-bottom:.2rem}
figcaption+p{font-size:.88rem;margin:.2rem 0}img{display:block;max-width:100%;height:auto}
#tip{position:fixed;pointer-events:none;background:var(--ink);color:var(--paper);padding:.3rem .5rem;border-radius:.25rem;
font-size:.8rem;line-height:1.35;white-space:pre;opacity:0;z-index:1}
@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--stripe:#fff}
section{content-visibility:visible}#tip,nav{display:none}figure,tr{break-inside:avoid}h2,figcaption{break-after:avoid}body{max-width:none;margin:0}
.scroll{overflow:visible}table{font-size:.7rem}th,td{padding:.15rem .4rem;white-space:normal}}
)";

/// Shows what a mark carries beside the pointer. Without it, <title> does. Sections out of view are
/// not laid out until they come into it: those of 200 cells have thousands of marks.
constexpr const char* page_script = R"(
const tip=document.getElementById("tip");
document.addEventListener("pointermove",event=>{
  if(event.target.closest?.(".spots"))return;
  const mark=event.target.closest?.("[data-tip]");
  if(!mark){tip.style.opacity=0;return}
  mark.querySelector("title")?.remove();
  tip.textContent=mark.dataset.tip;tip.style.opacity=1;
  const box=tip.getBoundingClientRect();
  tip.style.left=Math.max(4,Math.min(event.clientX+14,innerWidth-box.width-8))+"px";
  tip.style.top=Math.max(4,Math.min(event.clientY+14,innerHeight-box.height-8))+"px";
});
)";

}  // namespace

std::string to_terminal(const Report& report) {
  std::string text;
  for (const ReportSection& section : report.sections) {
    if (section.tables.empty() && section.notes.empty()) {
      continue;  // only plots
    }
    text += fmt::format("{}{}\n\n", text.empty() ? "" : "\n", terminal_text(section.title));
    for (const std::string& paragraph :
         section.tables.empty() ? section.notes : words_of(section)) {
      text += terminal_text(paragraph) + "\n";
    }
    for (const ReportTable& table : section.tables) {
      text += "\n" + terminal_table(table);
    }
  }
  return text;
}

std::string to_markdown(const Report& report) {
  std::string text = fmt::format("# {}\n", markdown_text(report.title));
  for (const ReportSection& section : report.sections) {
    text += fmt::format("\n## {}\n", markdown_text(section.title));
    for (const std::string& paragraph : words_of(section)) {
      text += "\n" + markdown_text(paragraph) + "\n";
    }
    for (const ReportTable& table : section.tables) {
      text += "\n" + markdown_table(table);
    }
    for (const Plot& plot : section.plots) {
      text += fmt::format("\n![{}](report.{}.svg)\n", markdown_text(plot.title), plot.name);
    }
    for (const ReportImage& image : section.images) {
      text += fmt::format("\n**{}**\n\n{}\n\n![{}](report.{}.png)\n", markdown_text(image.title),
                          markdown_text(image.words), markdown_text(image.alt), image.name);
    }
  }
  return text;
}

std::string to_html(const Report& report) {
  std::string contents;
  std::string body;
  bool has_spots = false;
  std::map<std::string, std::string> elements;
  for (size_t i = 0; i < report.sections.size(); ++i) {
    const ReportSection& section = report.sections[i];
    contents += fmt::format("<a href=\"#s{}\">{}</a>", i, xml_text(section.title));
    body += fmt::format("<section id=\"s{}\">\n<h2>{}</h2>\n", i, xml_text(section.title));
    for (const std::string& paragraph : words_of(section)) {
      body += fmt::format("<p>{}</p>\n", xml_text(paragraph));
    }
    for (const Plot& plot : section.plots) {
      body += fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n",
                          xml_text(plot.title), plot.page.empty() ? plot.svg : plot.page);
      has_spots = has_spots || !plot.page.empty();
      elements.insert(plot.elements.begin(), plot.elements.end());
    }
    for (const ReportImage& image : section.images) {
      body += html_image(image);
    }
    for (const ReportTable& table : section.tables) {
      body += html_table(table, section.title);
    }
    body += "</section>\n";
  }
  for (const auto& [id, element] : elements) {
    body += element;
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n<h1>{0}</h1>\n"
      "<nav aria-label=\"Sections\">{3}</nav>\n{4}<div "
      "id=\"tip\"></div>\n<script>{5}</script>\n</body>\n</html>\n",
      xml_text(report.title), page_style, plot_style() + (has_spots ? spot_style() : ""), contents,
      body, page_script + (has_spots ? spot_script() : ""));
}

std::string to_csv(const ReportTable& table) {
  std::string text;
  const auto add = [&](const auto& cells_of_column) {
    const char* separator = "";
    for (size_t i = 0; i < table.columns.size(); ++i) {
      for (const std::string& cell : cells_of_column(i)) {
        text += separator + cell;
        separator = ",";
      }
    }
    text += "\r\n";
  };
  add([&](size_t column) { return csv_titles(table.columns[column]); });
  for (const auto& row : table.rows) {
    add([&](size_t column) { return csv_cells(table.columns[column], row.at(column)); });
  }
  return text;
}

std::vector<fs::path> write_report(const Report& report, const ReportData& data,
                                   const fs::path& folder) {
  make_folder(folder);
  std::vector<fs::path> written;
  const auto write = [&](const std::string& name, const std::string& content) {
    const fs::path file = folder / ("report." + name);
    write_file_atomically(file, content);
    written.push_back(file);
  };
  write("html", to_html(report));
  write("md", to_markdown(report));
  write("runs.csv", to_csv(observations_table(data)));
  for (const ReportSection& section : report.sections) {
    for (const ReportTable& table : section.tables) {
      write(table.name + ".csv", to_csv(table));
    }
    for (const Plot& plot : section.plots) {
      write(plot.name + ".svg", standalone(plot));
    }
    for (const ReportImage& image : section.images) {
      write(image.name + ".png", image.png);
    }
  }
  return written;
}

}  // namespace bissl::host
